"""What travels between clients and a manager in this process, counted at both ends together."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from qm.wire.frames import Connection
from tests.guard.meter import assert_at_most


@dataclass(kw_only=True)
class Traffic:
    """What some work sent, either way. A call is a request and a reply: two frames."""

    frames: int
    bytes: int
    #: System calls on sockets: sends and receives, and changes of a socket's time limit.
    sends: int
    receives: int
    limits: int

    def check(self, guards: str, **most: int) -> None:
        """Fails where a number is over what is given here."""
        for name, limit in most.items():
            assert_at_most(getattr(self, name), limit, f"{name} ({guards})")


class Wire:
    """Counts on all connections that are made from now on."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._calls: list[str] = []
        self._sizes: list[int] = []
        make, send = Connection.__init__, Connection.send_frame

        def counted(connection: Connection, sock: socket.socket, *rest: Any) -> None:
            make(connection, _Socket(sock, self._calls), *rest)

        def send_frame(connection: Connection, frame: bytes, *rest: Any) -> None:
            self._sizes.append(len(frame) + 4)
            send(connection, frame, *rest)

        patch.setattr(Connection, "__init__", counted)
        patch.setattr(Connection, "send_frame", send_frame)

    def traffic(self, work: Callable[[], object]) -> Traffic:
        """What some work sends."""
        self._calls.clear()
        self._sizes.clear()
        work()
        calls = Counter(self._calls)
        return Traffic(
            frames=len(self._sizes),
            bytes=sum(self._sizes),
            sends=calls["send"] + calls["sendall"],
            receives=calls["recv"] + calls["recv_into"],
            limits=calls["settimeout"] + calls["setblocking"],
        )


class _Socket:
    """A socket that notes what it is asked for."""

    def __init__(self, sock: socket.socket, calls: list[str]) -> None:
        self._sock = sock
        self._calls = calls

    def __getattr__(self, name: str) -> Any:
        self._calls.append(name)
        return getattr(self._sock, name)
