"""Which objects are served, under which fixed ids."""

from __future__ import annotations

from typing import Any, Final

from qm.manager.server import Server
from qm.queue import Queue
from qm.wire.remote import Remote
from qm.wire.verbs import OBJECTS


class QueueManager(Remote):
    """Serves a queue: the object `queue` with all verbs, and the views `wait`, `progress` and `done`.

    As a `BaseManager` it is told its objects before it starts and makes none on demand.
    """

    _Server: Final = Server

    def __init__(self, address: Any, authkey: bytes, queue: Queue) -> None:
        """Will serve `queue` at (host, port), port 0 for a free one. Raises `BadRequest` for a short key."""
        super().__init__(address, authkey)
        self._queue = queue

    def get_server(self) -> Server:
        """The server, already listening; its `serve_forever` serves. Raises OSError for a taken port.

        The standard library's own get_server would make its own Server, whatever `_Server` says.
        """
        queue = self._queue
        server = Server(self._registry, self._address, self._authkey, self._serializer)  # type: ignore[attr-defined]
        objects = {"queue": queue, "wait": queue.wait, "progress": queue.progressing, "done": queue.done}
        for ident, signatures in OBJECTS.items():
            server.publish(ident, objects[ident], signatures)
        return server
