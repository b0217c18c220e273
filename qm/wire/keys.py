"""The file of keys: who may read it, what is in it, where it comes from.

    # who may come in, a line each: name, role (client, worker or operator), key
    default operator 4f1c…
    web1    client   a09b…

A file with nothing but a key, as `qmanager` makes it at its first start, is the key `default` of an operator.
The manager reads all of a file; a client reads its own, which has one line, or on the manager's host the
operator's. `qm.wire.keyfile` changes such a file.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from qm.errors import BadRequest
from qm.limits import KEY_MIN
from qm.wire.auth import check_key
from qm.wire.roles import DEFAULT, Key, Role

#: Bytes of a file: hundreds of keys.
_FILE_MAX: Final = 64 * 1024

#: What a key can be called.
KEY_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


def read_key(path: Path) -> bytes:
    """The key of a client or worker in `path`: the only one, or the first of an operator.

    Raises `BadRequest` as `read_keys`, and where there are several and none of an operator.
    """
    keys = read_keys(path)
    operators = [key for key in keys if key.role is Role.OPERATOR]
    if len(keys) > 1 and not operators:
        raise BadRequest(
            f"the authkey {path} has {len(keys)} keys, none of them an operator's",
            hint="write the line of one into a file of its own",
        )
    return (operators or keys)[0].secret


def read_keys(path: Path) -> tuple[Key, ...]:
    """All keys in `path`. Raises `BadRequest` where it is missing, wrong, or open to other users."""
    return parse_keys(read_secret(path, "authkey", _HINT), path)


_HINT: Final = "qmanager makes it at its first start; copy it to other hosts and name it by --authkey-file"


def is_missing(path: Path) -> bool:
    """Whether there is no file. One that we are not let near is there, and cannot be read."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def read_secret(path: Path, what: str, hint: str) -> bytes:
    """The bytes of a file that is for us alone. Raises `BadRequest` where it is not, or cannot be read."""
    try:
        with path.open("rb") as file:
            info = os.fstat(file.fileno())
            data = file.read(_FILE_MAX + 1)
    except OSError as error:
        raise BadRequest(f"cannot read the {what} {path}: {error.strerror}", hint=hint) from None
    if info.st_uid not in (os.geteuid(), 0):
        raise BadRequest(f"the {what} {path} belongs to another user", hint="copy it to a file of your own")
    if stat.S_IMODE(info.st_mode) & 0o077:
        raise BadRequest(f"the {what} {path} is open to other users", hint=f"chmod 600 {path}")
    if len(data) > _FILE_MAX:
        raise BadRequest(f"the {what} {path} is larger than {_FILE_MAX:,} bytes")
    return data


def parse_keys(data: bytes, path: Path) -> tuple[Key, ...]:
    """The keys in `data`, which was read from `path`. Raises `BadRequest`, never with a key in its text."""
    lines = [(number, line.split()) for number, line in enumerate(data.splitlines(), 1)]
    lines = [(number, words) for number, words in lines if words and not words[0].startswith(b"#")]
    if not lines or [len(words) for _, words in lines] == [1]:
        secret = lines[0][1][0] if lines else b""
        check_key(secret)
        return (Key(DEFAULT, Role.OPERATOR, secret),)
    keys = [_parse_line(words, f"the authkey {path}, line {number}") for number, words in lines]
    for place, (number, _) in enumerate(lines):
        before = keys[:place]
        if keys[place].name in [key.name for key in before]:
            raise BadRequest(f"the authkey {path}, line {number}: {keys[place].name!r} is there already")
        if keys[place].secret in [key.secret for key in before]:
            raise BadRequest(f"the authkey {path}, line {number}: the same key as another's")
    return tuple(keys)


def _parse_line(words: list[bytes], place: str) -> Key:
    # not the words themselves: one of them may be a key
    if len(words) != 3:
        raise BadRequest(f"{place}: {len(words)} words, not 3", hint="a line is: NAME ROLE KEY")
    name, role, secret = words
    try:
        key = Key(name.decode("ascii"), Role(role.decode("ascii")), secret)
    except ValueError:  # also text that is not ASCII
        raise BadRequest(f"{place}: no such role", hint=f"it is one of {', '.join(Role)}") from None
    if not KEY_NAME.fullmatch(key.name):
        raise BadRequest(f"{place}: not a name", hint="up to 64 characters of A-Z a-z 0-9 . _ -")
    try:
        check_key(secret)
    except BadRequest as error:
        raise BadRequest(f"{place}: {error}") from None
    return key


def new_secret() -> bytes:
    """A key that nobody has had before, in hexadecimal digits."""
    return secrets.token_hex(KEY_MIN).encode()


def make_key(path: Path) -> bytes:
    """The key in `path`, as `read_key`; where there is none, a new one is made there (mode 0600).

    Raises `BadRequest` where that is not possible, and as `read_key`.
    """
    if not is_missing(path):  # it may be in a folder that we cannot write, as a mounted secret is
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
    key = new_secret()
    with _draft(path, key + b"\n") as draft:
        os.link(draft, path)  # never over an existing key, and never half written
    return key


def replace_secret(path: Path, data: bytes) -> None:
    """Puts `data` in the place of the file, whole or not at all, open to nobody else. Raises OSError."""
    with _draft(path, data) as draft:
        os.replace(draft, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def _draft(path: Path, data: bytes) -> Iterator[str]:
    """While inside, `data` is in a new file beside `path`, open to nobody else and on the disk: its name."""
    fd, draft = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield draft
    finally:
        with suppress(FileNotFoundError):  # it has the other name by now
            os.unlink(draft)
