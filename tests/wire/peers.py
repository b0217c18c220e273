"""The other end of a connection, without manners: a peer that sends what it likes and sees every byte.

It has an implementation of the protocol of its own, from the documentation: so the protocol is pinned too.
"""

from __future__ import annotations

import hmac
import os
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from types import SimpleNamespace, TracebackType
from typing import cast

from qm.wire.address import Address
from qm.wire.codec import Request, encode
from qm.wire.listener import Listener

KEY = b"k" * 32
OTHER_KEY = b"o" * 32

#: Seconds. Nothing here takes so long, unless it hangs.
PATIENCE = 10.0


def framed(frame: bytes) -> bytes:
    """A frame as it travels."""
    return struct.pack("!I", len(frame)) + frame


def proof(key: bytes, role: bytes, server: bytes, client: bytes) -> bytes:
    """What the end with `role` says to show that it knows the key."""
    return hmac.digest(key, b"qm1 " + role + b"\0" + server + client, "sha256")


class Peer:
    """One end of a TCP connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        sock.settimeout(PATIENCE)

    @classmethod
    def at(cls, address: tuple[str, int]) -> Peer:
        """A stranger that has connected."""
        return cls(socket.create_connection(address, timeout=PATIENCE))

    @classmethod
    def known(cls, address: tuple[str, int], key: bytes = KEY) -> Peer:
        """One that has proved that it knows the key."""
        peer = cls.at(address)
        peer.introduce(key)
        return peer

    def __enter__(self) -> Peer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.sock.close()

    def send(self, frame: bytes) -> None:
        self.sock.sendall(framed(frame))

    def ask(self, rid: int, target: str, verb: str, args: bytes) -> None:
        self.send(encode(Request(rid, target, verb, args)))

    def read(self) -> bytes:
        """The next frame."""
        size: int = struct.unpack("!I", self._exactly(4))[0]
        return self._exactly(size)

    def read_to_end(self) -> bytes:
        """All that comes until the connection is closed; raises TimeoutError where it stays open."""
        data = b""
        try:
            while chunk := self.sock.recv(65536):
                data += chunk
        except ConnectionResetError:  # it closed without having read all that we sent
            return data
        return data

    def introduce(self, key: bytes = KEY) -> None:
        """The client's side of the handshake."""
        hello = self.read()
        assert hello[:3] == b"qm1" and len(hello) == 35
        ours = os.urandom(32)
        self.send(ours + proof(key, b"client", hello[3:], ours))
        answer = self.read()  # not inside the assert: there are tests that run without assertions
        assert answer == proof(key, b"server", hello[3:], ours)

    def admit(self, key: bytes = KEY) -> None:
        """The server's side of the handshake."""
        ours = os.urandom(32)
        self.send(b"qm1" + ours)
        answer = self.read()
        assert answer[32:] == proof(key, b"client", ours, answer[:32])
        self.send(proof(key, b"server", ours, answer[:32]))

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            chunk = self.sock.recv(size - len(data))
            if not chunk:
                raise EOFError(f"closed after {len(data)} of {size} bytes")
            data += chunk
        return data


def turned_away(address: tuple[str, int]) -> bool:
    """Whether a new connection is reset without a word: perhaps before its connect returns."""
    try:
        with Peer.at(address) as peer:
            peer.sock.recv(1)
            return False
    except ConnectionResetError:
        return True


@contextmanager
def rogue(act: Callable[[Peer], None]) -> Iterator[Address]:
    """A server that does something else to each of its clients."""
    listener = Listener(("127.0.0.1", 0))

    def run() -> None:
        while True:
            try:
                connection = listener.accept()
            except OSError:
                return
            with Peer(cast(socket.socket, connection.sock)) as peer:
                act(peer)

    thread = Thread(target=run)
    thread.start()
    try:
        yield listener.address
    finally:
        listener.close()
        thread.join()


class Clock(SimpleNamespace):
    """In the place of the module `time`: time that passes when a test says so."""

    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now


class Script:
    """A socket whose peer is a list of chunks, each of which takes `pace` seconds to arrive."""

    def __init__(self, chunks: list[bytes], clock: Clock | None = None, pace: float = 0.0) -> None:
        self._chunks = chunks
        self._clock = clock or Clock()
        self._pace = pace
        self._timeout: float | None = None
        self.asked: list[int] = []
        self.sent = b""

    def gettimeout(self) -> float | None:
        return self._timeout

    def settimeout(self, seconds: float | None) -> None:
        self._timeout = seconds

    def recv(self, size: int) -> bytes:
        self.asked.append(size)
        wait = self._pace if self._timeout is None else min(self._pace, self._timeout)
        self._clock.now += wait
        if wait < self._pace:
            raise TimeoutError("timed out")
        if not self._chunks:
            return b""
        chunk = self._chunks.pop(0)
        if len(chunk) > size:
            self._chunks.insert(0, chunk[size:])
        return chunk[:size]

    def sendall(self, data: bytes) -> None:
        self.sent += data
