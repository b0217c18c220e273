"""Servers for tests: one of a few verbs of its own, and a whole manager; both in threads of this process."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Thread
from typing import Any, Final, Protocol

from qm.errors import NotFound
from qm.manager import QueueManager, Server
from qm.manager.admission import Admission
from qm.queue import Queue
from qm.queue.waiter import Caller, Waiter
from qm.store.base import Store
from qm.store.memory import MemoryStore
from qm.wire.address import Address
from qm.wire.channels import Route
from qm.wire.codec import encode
from qm.wire.remote import SERIALIZER
from qm.wire.roles import Key
from qm.wire.servertls import ServerTLS
from qm.wire.verbs import Signature
from tests.wire.peers import KEY, PATIENCE


class EchoVerbs(Protocol):
    """What the small server can do."""

    def echo(self, text: str) -> str: ...
    def many(self, size: int) -> bytes: ...
    def hold(self, text: str) -> str: ...
    def refuse(self, text: str) -> None: ...
    def blow(self, text: str) -> None: ...
    def overflow(self) -> None: ...
    def park(self, name: str, wait: float = 0) -> str: ...


class Echo:
    """Does it."""

    def __init__(self) -> None:
        #: What is being held, or parked: an entry when it begins.
        self.begun: queue.SimpleQueue[str] = queue.SimpleQueue()
        #: Whose caller hung up.
        self.gone: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.let_go = threading.Event()
        self.secret = "for nobody"

    def echo(self, text: str) -> str:
        return text

    def many(self, size: int) -> bytes:
        return bytes(size)

    def hold(self, text: str) -> str:
        self.begun.put(text)
        self.let_go.wait(PATIENCE)
        return text

    def refuse(self, text: str) -> None:
        raise NotFound(text, hint="look elsewhere")

    def blow(self, text: str) -> None:
        raise KeyError(f"an inner secret: {text}")

    def overflow(self) -> None:
        raise OverflowError("int too big to convert")

    def park(self, name: str, wait: float = 0, caller: Caller | None = None) -> str:
        assert caller is not None
        waiter = Waiter()
        with caller.watched(waiter):
            self.begun.put(name)
            woken = waiter.sleep(wait)
        if waiter.gone:
            self.gone.put(name)
        return f"{name} woken={woken} gone={waiter.gone}"

    def hidden(self) -> str:
        return self.secret


_VERBS: Final = ("echo", "many", "hold", "refuse", "blow", "overflow", "park")
ECHO: Final = {verb: Signature(verb, getattr(EchoVerbs, verb)) for verb in _VERBS}


def echo_server(
    echo: Echo, address: tuple[str, int] = ("127.0.0.1", 0), admission: Admission | None = None
) -> Server:
    """A server with one object, listening but not yet serving; for peers with `KEY` by default."""
    server = Server({}, address, KEY, SERIALIZER)
    if admission is not None:
        server.admit_by(admission)
    server.publish("echo", echo, ECHO)
    return server


def ask(channels: Route, verb: str, *args: Any, timeout: float = PATIENCE, waits: bool = False) -> Any:
    """One call of the echo server; one that `waits` has a connection of its own."""
    return ECHO[verb].decode_answer(channels.call("echo", verb, encode(args), timeout, waits))


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    """Serves, and stops at the end."""
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join(PATIENCE)
        assert not thread.is_alive(), "serve_forever did not return"


class Managed:
    """A running manager and what is inside it."""

    def __init__(self, queue: Queue, server: Server) -> None:
        self.queue = queue
        self.server = server
        self.address: Address = server.address


@contextmanager
def managed(
    store: Store | None = None,
    address: tuple[str, int] = ("127.0.0.1", 0),
    keys: bytes | Sequence[Key] = KEY,
    tls: ServerTLS | None = None,
) -> Iterator[Managed]:
    """A whole manager over `store`, or over one in memory."""
    own = store or MemoryStore()
    queue = Queue(own)
    server = QueueManager(address, keys, queue, tls).get_server()
    queue.start()
    try:
        with serving(server):
            try:
                yield Managed(queue, server)
            finally:
                queue.drain()
    finally:
        own.close()
