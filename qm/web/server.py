"""waitress, bounded and with a clean end."""

from __future__ import annotations

import threading
from typing import Any, Final, cast
from wsgiref.types import WSGIApplication

from waitress import wasyncore
from waitress.server import BaseWSGIServer, create_server

from qm.wire.address import Address, listen

#: Its own bounds let a few silent sockets keep everybody out, and a body be a gigabyte.
_SETTINGS: Final[dict[str, Any]] = {
    "threads": 8,
    "connection_limit": 1000,
    "channel_timeout": 20,  # seconds until a silent connection is closed
    "cleanup_interval": 5,  # seconds between looking for such
    "asyncore_use_poll": True,  # select cannot see descriptors from 1024 on
    "max_request_header_size": 16 * 1024,
    "max_request_body_size": 64 * 1024,  # nothing here takes a body
    "channel_request_lookahead": 0,  # with more, requests on one connection have been mixed up
    "expose_tracebacks": False,
    "log_socket_errors": False,  # a viewer who leaves early is no news
    "ident": None,
}

#: Seconds for requests under way to be answered when the server stops.
STOP_SECONDS: Final = 3


class Server:
    """Serves one application at one address. `run` belongs to one thread, `stop` to any other."""

    def __init__(self, app: WSGIApplication, address: Address) -> None:
        """Listens at once, at a free port where `address` says 0. Raises OSError."""
        # The socket is ours: waitress's own default is every address of the machine.
        sock = listen(address)
        self.address = Address(*sock.getsockname()[:2])
        self._channels: dict[int, Any] = {}
        try:
            server = create_server(app, self._channels, sockets=[sock], **_SETTINGS)
        except BaseException:
            sock.close()
            raise
        self._server = cast(BaseWSGIServer, server)
        self._stopping = threading.Lock()

    def run(self) -> None:
        """Serves until `stop`."""
        self._server.run()

    def stop(self) -> None:
        """Answers the requests under way and ends `run`. Twice is fine.

        In this order: with its sockets closed first, the server would lose the answers under way.
        """
        if not self._stopping.acquire(blocking=False):
            return
        self._server.task_dispatcher.shutdown(timeout=STOP_SECONDS)
        trigger: Any = self._server.trigger
        trigger.pull_trigger(lambda: wasyncore.close_all(self._channels))
