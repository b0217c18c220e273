"""A manager in this process, and a WSGI application called as a server would."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from wsgiref.types import WSGIApplication
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

from qm.client import Client
from qm.manager import QueueManager
from qm.messages import Fail, Finish, ListQuery, NewTask, PackedPage, Slot, TypeOptions, WorkerInfo
from qm.payload import digest
from qm.queue import Queue
from qm.store.memory import MemoryStore
from qm.task import Failure, Lease
from qm.web.reader import Snapshot, Story
from qm.wire.address import Address
from qm.wire.remote import Remote

KEY = b"k" * 32
OURS = "127.0.0.1:8080"


class Answer(NamedTuple):
    """What the application answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()


def call(
    app: WSGIApplication, path: str = "/", method: str = "GET", host: str = OURS, **environ: Any
) -> Answer:
    """The answer to one request; fails where the application breaks the rules of WSGI."""
    env: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "SCRIPT_NAME": "",
        "QUERY_STRING": "",
        "HTTP_HOST": host,
        "wsgi.input": io.BytesIO(b""),
        **environ,
    }
    setup_testing_defaults(env)
    said: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        said.append((status, headers))
        return lambda data: None

    # HEAD: the validator wants a body of the announced length even there
    checked = app if method == "HEAD" else validator(app)
    answer = checked(env, start_response)
    body = b"".join(answer)
    if method != "HEAD":
        answer.close()  # type: ignore[attr-defined]
    ((status, headers),) = said
    assert len({name.lower() for name, _ in headers}) == len(headers), "a header said twice"
    return Answer(int(status[:3]), dict(headers), body)


class Raising:
    """A source that has nothing but an error."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def read(self, max_age: float = 0.0) -> Snapshot:
        raise self._error

    def list(self, query: ListQuery) -> PackedPage:
        raise self._error

    def task(self, id: str, before: int | None = None) -> Story:
        raise self._error


class Manager:
    """A manager, and a worker that settles tasks as a test says."""

    def __init__(self, address: tuple[str, int] = ("127.0.0.1", 0)) -> None:
        self.store = MemoryStore()
        self.queue = Queue(self.store)
        self.queue.start()
        self._server = QueueManager(address, KEY, self.queue).get_server()
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.address = Address(*self._server.address)
        self.remote = Remote(self.address, KEY)
        self.client = Client(self.address, KEY)
        self.slot = Slot("session", 0, 1)

    def work(self, *types: str) -> None:
        """From now on `take` serves these types."""
        options = {name: TypeOptions() for name in types}
        self.client.attach(WorkerInfo(session="session", host="h", pid=1, processes=1, types=options))

    def take(self, *types: str) -> Lease:
        """The lease of the next task."""
        taken = self.client.take(self.slot, types)
        assert taken is not None
        return taken.lease

    def finish(self, input: Any, output: Any, type: str = "work") -> str:
        """A task that is done."""
        id_ = self.client.add(type, input)
        self.client.finish(self.take(type), output)
        return id_

    def fail(self, input: Any, failure: Failure, type: str = "work") -> str:
        """A task that failed for good."""
        id_ = self.client.add(type, input)
        self.client.fail(self.take(type), failure, retryable=False)
        return id_

    def finish_packed(self, input: bytes, output: bytes, type: str = "work") -> None:
        """A task with payloads that no client of ours would pack."""
        task = NewTask(id=f"packed-{input[:8].hex()}", type=type, input=input, digest=digest(type, input))
        self.remote.queue().add([task])
        lease = self.take(type)
        self.remote.queue().finish([Finish(lease, output)])

    def fail_packed(self, error: bytes, type: str = "work") -> None:
        """A failed task with error details that no worker of ours would pack."""
        self.client.add(type, None)
        self.remote.queue().fail([Fail(self.take(type), error, retryable=False)])

    def close(self) -> None:
        self.client.close()
        self.remote.close()
        self.queue.drain()
        self._server.stop()
        self._thread.join()
        self.store.close()


@contextmanager
def running_manager(address: tuple[str, int] = ("127.0.0.1", 0)) -> Iterator[Manager]:
    manager = Manager(address)
    try:
        yield manager
    finally:
        manager.close()
