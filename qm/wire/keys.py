"""The authkey's file: who may read it, where it comes from."""

from __future__ import annotations

import os
import secrets
import stat
import tempfile
from pathlib import Path

from qm.errors import BadRequest
from qm.limits import KEY_MIN
from qm.wire.auth import check_key


def read_key(path: Path) -> bytes:
    """The key in `path`. Raises `BadRequest` where it is missing, short, or open to other users."""
    try:
        with path.open("rb") as file:
            info = os.fstat(file.fileno())
            key = file.read(4096).strip()
    except OSError as error:
        raise BadRequest(
            f"cannot read the authkey {path}: {error.strerror}",
            hint="qmanager makes it at its first start; copy it to other hosts and name it by --authkey-file",
        ) from None
    if info.st_uid not in (os.geteuid(), 0):
        raise BadRequest(f"the authkey {path} belongs to another user", hint="copy it to a file of your own")
    if stat.S_IMODE(info.st_mode) & 0o077:
        raise BadRequest(f"the authkey {path} is open to other users", hint=f"chmod 600 {path}")
    check_key(key)
    return key


def make_key(path: Path) -> bytes:
    """The key in `path`; where there is none, a new one is made there (mode 0600).

    Raises `BadRequest` where that is not possible, and as `read_key`.
    """
    if os.path.exists(path):  # it may be in a folder that we cannot write, as a mounted secret is
        return read_key(path)
    try:
        return _make_key(path)
    except FileExistsError:  # another process was faster
        return read_key(path)
    except OSError as error:
        hint = "choose another folder by QM_HOME"
        raise BadRequest(f"cannot make the authkey {path}: {error.strerror}", hint) from None


def _make_key(path: Path) -> bytes:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = secrets.token_hex(KEY_MIN).encode()
    fd, draft = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)  # open to nobody else
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(key + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)  # never over an existing key, and never half written
    finally:
        os.unlink(draft)
    return key
