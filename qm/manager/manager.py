"""Which objects are served, under which fixed ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from qm.manager.admission import Admission
from qm.manager.server import Server
from qm.queue import Queue
from qm.wire.remote import Remote
from qm.wire.roles import Key
from qm.wire.verbs import OBJECTS

if TYPE_CHECKING:
    from qm.wire.servertls import ServerTLS


class QueueManager(Remote):
    """Serves a queue: the object `queue` with all verbs, and the views `wait`, `progress` and `done`.

    As a `BaseManager` it is told its objects before it starts and makes none on demand.
    """

    _Server: Final = Server

    def __init__(
        self, address: Any, keys: bytes | Sequence[Key], queue: Queue, tls: ServerTLS | None = None
    ) -> None:
        """Will serve `queue` at (host, port), port 0 for a free one, to whoever knows one of `keys` (a key
        alone is an operator's), over TLS if that is given. Raises `BadRequest` for a short key, or none."""
        self._admission = Admission.of(keys, tls)
        super().__init__(address, self._admission.keys[0].secret)
        self._queue = queue

    def get_server(self) -> Server:
        """The server, already listening; its `serve_forever` serves. Raises OSError for a taken port.

        The standard library's own get_server would make its own Server, whatever `_Server` says.
        """
        queue = self._queue
        server = Server(self._registry, self._address, self._authkey, self._serializer)  # type: ignore[attr-defined]
        server.admit_by(self._admission)
        objects = {"queue": queue, "wait": queue.wait, "progress": queue.progressing, "done": queue.done}
        for ident, signatures in OBJECTS.items():
            server.publish(ident, objects[ident], signatures)
        return server
