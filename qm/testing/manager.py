"""A manager for tests: in this process, on a port of its own."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from qm.client import Client
from qm.limits import KEY_MIN
from qm.manager import QueueManager
from qm.queue import Queue
from qm.sealing import PayloadKeys
from qm.store.base import Store
from qm.store.memory import MemoryStore
from qm.wire.address import Address


class RunningManager:
    """What a test may ask of a manager that `running_manager` runs."""

    def __init__(self, address: Address, authkey: bytes, queue: Queue, clients: ExitStack) -> None:
        self.address = address
        self.authkey = authkey
        #: The queue that it serves, for a look from inside.
        self.queue = queue
        self._clients = clients

    def client(
        self, *, patience: float = 5.0, payload_keys: Sequence[str] | PayloadKeys | None = None
    ) -> Client:
        """A new client of it. It is closed with the manager, if not before."""
        client = Client(self.address, self.authkey, tls="", patience=patience, payload_keys=payload_keys)
        return self._clients.enter_context(client)


@contextmanager
def running_manager(
    store: Store | None = None,
    *,
    address: tuple[str, int] = ("127.0.0.1", 0),
    authkey: bytes | None = None,
) -> Iterator[RunningManager]:
    """Runs a manager in threads of this process while inside.

    >>> with running_manager() as manager:
    ...     client = manager.client()
    ...     client.get(client.add("mail", {"to": "ann"})).state
    <State.WAITING: 'waiting'>

    `store`: where the tasks are kept, and left open at the end; without one, memory. `address`: port 0 takes
    a free one. `authkey`: at least 32 bytes; without one, random. To see a restart, run it twice, with the
    store, the address and the key of the first.

    Raises OSError for an address that is taken.
    """
    key = secrets.token_bytes(KEY_MIN) if authkey is None else authkey
    with ExitStack() as clients, _kept(store) as kept:
        queue = Queue(kept)
        server = QueueManager(address, key, queue).get_server()
        serving = threading.Thread(target=server.serve_forever, name="manager")
        queue.start()
        serving.start()
        try:
            yield RunningManager(server.listener.address, key, queue, clients)
        finally:
            queue.drain()
            server.stop()
            serving.join()


@contextmanager
def _kept(store: Store | None) -> Iterator[Store]:
    """The caller's store; without one, a store in memory that is closed at the end."""
    if store is not None:
        yield store
        return
    own = MemoryStore()
    try:
        yield own
    finally:
        own.close()
