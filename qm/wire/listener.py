"""The server's end of a port."""

from __future__ import annotations

import socket
from typing import Any

from qm.wire.address import Address, listen, tune
from qm.wire.frames import Connection


class Listener:
    """A listening socket, in the shape in which `multiprocessing.managers.Server` asks for one."""

    def __init__(self, address: Any, backlog: int = 1) -> None:
        """Listens on (host, port); port 0 takes a free one. The backlog is ours, whatever is asked for: the
        standard library's 16 drops connections when a fleet comes back at once. Raises OSError."""
        self._socket = listen(Address(*address))
        self.address = Address(address[0], self._socket.getsockname()[1])

    def accept(self) -> Connection:
        """The next connection, tuned but not yet trusted. Raises OSError, also once closed."""
        sock, peer = self._socket.accept()
        try:
            tune(sock)
        except OSError:
            sock.close()
            raise
        return Connection(sock, str(Address(*peer[:2])))

    def close(self) -> None:
        """Stops listening and wakes a thread that waits in `accept`."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        finally:
            self._socket.close()
