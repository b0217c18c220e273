"""What passes between qmanager and its web process at start: a line of JSON each way, through pipes.

    qmanager → web   the configuration, with the key: argv and environment are open to others, a pipe is not
    web → qmanager   the address at which it serves, once it does

The two ends are of one installation, so neither knows of older versions.
"""

from __future__ import annotations

from enum import IntEnum

import msgspec
from msgspec import Struct

from qm.errors import BadRequest
from qm.wire.address import Address


class WebExit(IntEnum):
    """How the web process ends."""

    #: Somebody asked it to, or its parent is gone.
    OK = 0
    #: A bug; its log says more.
    FAILED = 1
    #: It was told nothing, or nothing it understands.
    BAD_CONFIG = 2
    #: The address is taken, or is not one of this machine.
    CANNOT_LISTEN = 69


class WebConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the web process is told."""

    #: Where the manager listens.
    rpc: Address
    #: The manager's key in hexadecimal digits: a key has any bytes, and JSON has none.
    authkey: str
    #: How to know the manager, as `qm.wire.trust` reads it; "" is without TLS.
    tls: str = ""
    #: Where to serve; port 0 for a free one.
    http: Address
    log_level: str = "info"
    log_format: str = "text"
    #: Names in the Host header that are ours, beside those that the address itself makes ours.
    hosts: tuple[str, ...] = ()
    #: Inputs and outputs are shown to other machines too, not only to this one.
    show_payloads: bool = False
    #: The process to live and die with; None: whoever holds its stdin.
    parent: int | None = None

    def __repr__(self) -> str:
        """Without the key: what is printed is kept, and read by others."""
        return f"WebConfig(rpc={self.rpc}, http={self.http})"

    @property
    def key(self) -> bytes:
        """The manager's key. Raises `BadRequest`."""
        try:
            return bytes.fromhex(self.authkey)
        except ValueError:
            raise BadRequest("the authkey is not in hexadecimal digits") from None

    def to_line(self) -> bytes:
        """The configuration as it travels."""
        return msgspec.json.encode(self) + b"\n"

    @classmethod
    def of_line(cls, line: bytes) -> WebConfig:
        """The configuration in `line`. Raises `BadRequest`, whose text never has the key."""
        try:
            return msgspec.json.decode(line, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BadRequest(f"the configuration cannot be read: {error}") from None


class WebReady(Struct, frozen=True):
    """The web process's answer: it serves at `http`."""

    http: Address

    def to_line(self) -> bytes:
        """The answer as it travels."""
        return msgspec.json.encode(self) + b"\n"

    @classmethod
    def of_line(cls, line: bytes) -> WebReady:
        """The answer in `line`. Raises `BadRequest`."""
        try:
            return msgspec.json.decode(line, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BadRequest(f"the web process says what it should not: {error}") from None
