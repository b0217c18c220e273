"""What crosses from a parent to its children: import strings and plain values, never functions."""

from __future__ import annotations

from msgspec import Struct

from qm.messages import TypeOptions
from qm.sealing import PayloadKeys
from qm.wire.address import Address

#: The exit code of a child whose parent's script calls `Worker.run` at import, without a `__main__` guard.
NO_GUARD_EXIT = 97


class ChildConfig(Struct, frozen=True, kw_only=True):
    """How a child works. `types` None: all that its modules hold; `tls`: see `qm.client.Client`.
    `delay`: seconds between tasks."""

    load: tuple[str, ...]
    types: tuple[str, ...] | None
    addresses: tuple[Address, ...]
    authkey: bytes
    tls: str
    delay: float
    log_level: str
    log_format: str
    payload_keys: PayloadKeys = PayloadKeys()


class Ready(Struct, frozen=True, tag="ready"):
    """A child has loaded its operations and can work."""

    types: dict[str, TypeOptions]


class Broken(Struct, frozen=True, tag="broken"):
    """A child cannot load its operations; `text` says why."""

    text: str
