"""host:port in words and as sockets."""

from __future__ import annotations

import encodings.idna  # noqa: F401 - the resolver imports it, and a fork in that moment would leave half of it
import errno
import ipaddress
import re
import socket
import struct
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, cast

from qm.errors import BadRequest

#: A host and perhaps a port; an IPv6 address in brackets. (Alone it needs none, but has too many colons.)
_ADDRESS: Final = re.compile(r"(?:\[(?P<v6>.+)\]|(?P<host>[^:]*))(?::(?P<port>[0-9]{1,5}))?")
_NAME: Final = re.compile(r"[\w.-]+")

#: Waiting connections: a whole fleet that reconnects at once after a restart.
_BACKLOG: Final = 1024

#: An address that this machine does not have, or whose family is off.
_NOT_HERE: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)

#: A port that is free for one address of a name may be taken for another.
_PORT_TRIES: Final = 8

#: A dead host is noticed after 15 + 3 * 5 s of silence, or after 30 s with unacknowledged data.
_KEEPALIVE: Final = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 30_000}

#: ... and after 5 + 3 * 2 s, or 10 s, by who could go to another one instead.
_BRISK: Final = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 2, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 10_000}

#: Seconds that a peer may leave our data unread before its connection is given up.
_SEND_TIMEOUT: Final = 30


class Address(NamedTuple):
    """Where a manager listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def parse_address(text: str, default_port: int) -> Address:
    """``host:port``, ``host``, ``:port`` (this machine), ``[v6]:port``. Raises `BadRequest`."""
    host, port = text, default_port
    if match := _ADDRESS.fullmatch(text):
        host = match["v6"] or match["host"] or "127.0.0.1"
        port = int(match["port"] or default_port)
    if port > 65535 or not _is_host(host):
        raise BadRequest(
            f"{text[:80]!r} is not an address", hint="write it as HOST:PORT, for example 127.0.0.1:8090"
        )
    return Address(host, port)


#: Where managers are, as programs say it: addresses by commas, one of them as a pair, or a list of either.
Where = str | tuple[str, int] | Sequence[str | tuple[str, int]]


def parse_addresses(text: str, default_port: int) -> tuple[Address, ...]:
    """Addresses as `parse_address` reads them, by commas; each once, in their order. Raises `BadRequest`."""
    first, *more = text.split(",")
    if not more:
        return (parse_address(first, default_port),)
    parts = [part.strip() for part in (first, *more)]
    if not all(parts):  # one alone means this machine: here it is rather a comma too many
        raise BadRequest(f"{text[:80]!r} has a comma with no address beside it", hint="HOST:PORT,HOST:PORT")
    return tuple(dict.fromkeys(parse_address(part, default_port) for part in parts))


def addresses_of(where: Where, default_port: int) -> tuple[Address, ...]:
    """What `where` says; each address once, in their order. Raises `BadRequest`."""
    if isinstance(where, str):
        return parse_addresses(where, default_port)
    if len(where) == 2 and isinstance(where[1], int):
        return (Address(str(where[0]), where[1]),)
    parts = cast(Sequence[str | tuple[str, int]], where)
    found = tuple(dict.fromkeys(one for part in parts for one in addresses_of(part, default_port)))
    if not found:
        raise BadRequest("a list of addresses with none in it", hint='for example ["a:8090", "b:8090"]')
    return found


def _is_host(host: str) -> bool:
    """Whether it is an address or a name. The resolver raises more than OSError for what is neither."""
    try:
        if ":" in host:
            return ipaddress.IPv6Address(host).version == 6
        return _NAME.fullmatch(host.encode("idna").decode()) is not None
    except ValueError:
        return False


def listen(address: Address) -> socket.socket:
    """A listening socket, IPv4 or IPv6 as the host is. Raises OSError."""
    family, place = _places(address)[0]
    return socket.create_server(place, family=family, backlog=_BACKLOG)


def listen_everywhere(address: Address) -> list[socket.socket]:
    """As `listen`, for each address that the host's name has, so that it does not matter which of them a
    client takes; all with one port. An address that this machine does not have (a name may have an IPv6
    address where IPv6 is off) is left out while there is another. Raises OSError."""
    for attempt in range(_PORT_TRIES):
        try:
            return _listen_at(_places(address), address.port)
        except OSError as error:  # a free port of one family may be taken in the other
            if address.port != 0 or error.errno != errno.EADDRINUSE or attempt == _PORT_TRIES - 1:
                raise
    raise AssertionError("the last attempt returns or raises")


def _places(address: Address) -> list[tuple[int, tuple[Any, ...]]]:
    """The address families and socket addresses of a host's name, each once."""
    found = socket.getaddrinfo(*address, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((family, place) for family, _, _, _, place in found))


def _listen_at(places: list[tuple[int, tuple[Any, ...]]], port: int) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    missing: OSError | None = None
    try:
        for family, (host, _, *scope) in places:
            try:
                place = (host, port, *scope)
                sockets.append(socket.create_server(place, family=family, backlog=_BACKLOG))
            except OSError as error:
                if error.errno not in _NOT_HERE:
                    raise
                missing = error
            else:
                port = sockets[0].getsockname()[1]
        if missing is not None and not sockets:
            raise missing
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    return sockets


def connect(address: Address, timeout: float, brisk: bool = False) -> socket.socket:
    """A connected, tuned socket. Raises OSError."""
    sock = socket.create_connection(address, timeout=timeout)
    try:
        tune(sock, brisk)
    except BaseException:  # it was reset at once
        sock.close()
        raise
    return sock


def tune(sock: socket.socket, brisk: bool = False) -> None:
    """No delay for short messages, and no eternal wait for a peer that is gone or does not read. `brisk`: the
    shorter, since there are other peers."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (_BRISK if brisk else _KEEPALIVE).items():
        sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", _SEND_TIMEOUT, 0))
