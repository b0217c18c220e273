"""Which keys a program seals with: given to it, or those of its environment."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from qm import environment
from qm.errors import BadRequest
from qm.sealing import Keyring, PayloadKeys

#: Bytes of a file of keys: more than anybody rotates through.
_FILE_MAX: Final = 64 * 1024

_BETWEEN: Final = re.compile(r"[,\s]+")


def find_payload_keys(given: Sequence[str] | PayloadKeys | None = None) -> PayloadKeys:
    """`given`, or where it is None what QM_PAYLOAD_KEYS or QM_PAYLOAD_KEYS_FILE and QM_PAYLOAD_PLAIN say.

    Raises `BadRequest` where that cannot be read, or is open to others, and for a key that is none.
    """
    if isinstance(given, PayloadKeys):
        keys = given
    elif isinstance(given, str):
        raise BadRequest("payload_keys is a list of keys, newest first, and not one text")
    else:
        found = tuple(given) if given is not None else _of_environment()
        keys = PayloadKeys(found, accept_plain=environment.accept_plain_payloads())
    keyring_of(keys)
    return keys


def keyring_of(keys: PayloadKeys) -> Keyring | None:
    """What seals and opens with these keys; None where there are none. Raises `BadRequest`."""
    return Keyring(keys) if keys.keys else None


def _of_environment() -> tuple[str, ...]:
    text, path = environment.payload_keys(), environment.payload_keys_file()
    if text and path:
        raise BadRequest("QM_PAYLOAD_KEYS and QM_PAYLOAD_KEYS_FILE are both set", hint="choose one")
    if path:
        text = _read(path)
        if not text.strip():
            raise BadRequest(f"there is no payload key in {path}", hint="qmclient payload-key makes one")
    return tuple(key for key in _BETWEEN.split(text or "") if key)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            info = os.fstat(file.fileno())
            text = file.read(_FILE_MAX)
    except OSError as error:
        hint = "QM_PAYLOAD_KEYS_FILE names it"
        raise BadRequest(f"cannot read the payload keys {path}: {error.strerror}", hint) from None
    if info.st_uid not in (os.geteuid(), 0):
        raise BadRequest(
            f"the payload keys {path} belong to another user", hint="copy them to one of your own"
        )
    if stat.S_IMODE(info.st_mode) & 0o077:
        raise BadRequest(f"the payload keys {path} are open to other users", hint=f"chmod 600 {path}")
    return text.decode("utf-8", "replace")
