"""A connection between client and manager that a test can cut."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from qm.wire.address import Address


class Wire:
    """A TCP proxy in front of a manager. Bytes go through both ways, until it is told to lose an answer."""

    def __init__(self, manager: Address) -> None:
        self._manager = manager
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = Address(*self._listener.getsockname())
        self._ends: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._lose = threading.Semaphore(0)
        #: How many answers were lost.
        self.lost = 0
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

    @staticmethod
    def _carry(source: socket.socket, target: socket.socket) -> None:
        with _closing(source, target):
            while data := source.recv(65536):
                target.sendall(data)

    def _carry_answers(self, source: socket.socket, target: socket.socket) -> None:
        """The manager says two things before its first answer: see `qm.wire.auth`."""
        with _closing(source, target):
            said = 0
            while data := source.recv(65536):
                said += 1
                if said > 2 and self._lose.acquire(blocking=False):
                    self.lost += 1
                    return
                target.sendall(data)


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
