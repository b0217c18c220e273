"""A connection between client and manager that a test can cut."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from qm.wire.address import Address


class Wire:
    """A TCP proxy in front of a manager. Bytes go through both ways, until it is told to break something.

    Two of them are two addresses, of which one can die and come back while the other serves on.
    """

    def __init__(self, manager: Address, port: int = 0) -> None:
        self._manager = manager
        self._listener = socket.create_server(("127.0.0.1", port))
        self.address = Address(*self._listener.getsockname())
        self._ends: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._lose = threading.Semaphore(0)
        #: How many answers were lost.
        self.lost = 0
        #: What the clients have said, and what the manager has.
        self.calls, self.answers = _Flow(), _Flow()
        self._run(self._accept)

    def lose_answers(self, number: int = 1) -> None:
        """The next answers do not arrive: the call is carried out, and then its connection breaks."""
        for _ in range(number):
            self._lose.release()

    def close(self) -> None:
        """Cuts everything."""
        _cut(self._listener)
        self._threads[0].join()
        for end in self._ends:
            _cut(end)
        for thread in self._threads[1:]:
            thread.join()
        for end in (self._listener, *self._ends):
            end.close()

    def _run(self, work: Callable[..., None], *args: socket.socket) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:  # closed
                return
            far = socket.create_connection(self._manager)
            self._ends += near, far
            self._run(self._carry, near, far)
            self._run(self._carry_answers, far, near)

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with _closing(source, target):
            while data := source.recv(65536):
                if not self.calls.pass_on(data, target):
                    return

    def _carry_answers(self, source: socket.socket, target: socket.socket) -> None:
        """The manager says two things before its first answer: see `qm.wire.auth`."""
        with _closing(source, target):
            said = 0
            while data := source.recv(65536):
                said += 1
                if said > 2 and self._lose.acquire(blocking=False):
                    self.lost += 1
                    return
                if not self.answers.pass_on(data, target):
                    return


class _Flow:
    """The bytes that go one way, over all connections."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left: int | None = None
        #: How many there were.
        self.bytes = 0

    def cut_after(self, bytes: int) -> None:
        """Of what comes now, so many bytes arrive; then the connection breaks. What comes later is whole."""
        with self._lock:
            self._left = bytes

    @property
    def is_cut(self) -> bool:
        """Whether that has happened."""
        return self._left is None

    def pass_on(self, data: bytes, target: socket.socket) -> bool:
        """Gives whether the connection holds."""
        with self._lock:
            self.bytes += len(data)
            left = self._left
            if left is not None:
                self._left = left - len(data) if left > len(data) else None
        target.sendall(data if left is None else data[:left])
        return left is None or left > len(data)


@contextmanager
def _closing(source: socket.socket, target: socket.socket) -> Iterator[None]:
    """When one end is gone, so is the other."""
    try:
        yield
    except OSError:
        return
    finally:
        _cut(source)
        _cut(target)


def _cut(end: socket.socket) -> None:
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:  # cut before
        return
