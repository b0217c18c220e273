"""The server's end of a port."""

from __future__ import annotations

import errno
import os
import select
import socket
import weakref
from typing import Any

from qm.wire.address import Address, listen_everywhere, tune
from qm.wire.frames import Connection


class Listener:
    """Listening sockets, in the shape in which `multiprocessing.managers.Server` asks for one."""

    def __init__(self, address: Any, backlog: int = 1) -> None:
        """Listens on (host, port); port 0 takes a free one. The backlog is ours, whatever is asked for: the
        standard library's 16 drops connections when a fleet comes back at once. Raises OSError."""
        self._sockets = {sock.fileno(): sock for sock in listen_everywhere(Address(*address))}
        self.address = Address(address[0], next(iter(self._sockets.values())).getsockname()[1])
        #: Readable for ever once closed. It outlives the sockets, whose numbers may soon mean other files.
        self._closed = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        weakref.finalize(self, os.close, self._closed)
        self._poll = select.poll()
        self._poll.register(self._closed, select.POLLIN)
        for fd, sock in self._sockets.items():
            sock.setblocking(False)  # one that is gone again before it is accepted must not hold us up
            self._poll.register(fd, select.POLLIN)

    def accept(self) -> Connection:
        """The next connection, tuned but not yet trusted. Raises OSError, also once closed: ConnectionError
        where only this one is lost. It takes a descriptor only when there is somebody, so that having none
        is no error before."""
        while True:
            ready = [fd for fd, _ in self._poll.poll()]
            if self._closed in ready:
                raise OSError(errno.EBADF, "the listener is closed")
            try:
                return self._take(self._sockets[ready[0]])
            except BlockingIOError:
                continue

    def close(self) -> None:
        """Stops listening and wakes a thread that waits in `accept`."""
        os.eventfd_write(self._closed, 1)
        for sock in self._sockets.values():
            sock.close()

    @staticmethod
    def _take(listening: socket.socket) -> Connection:
        sock, peer = listening.accept()
        try:
            tune(sock)
        except OSError as error:
            sock.close()
            raise ConnectionAbortedError(error.errno, error.strerror) from None
        return Connection(sock, str(Address(*peer[:2])))
