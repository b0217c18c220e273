"""What bytes are thrown at, and what may come of them. Anything else that a target raises is a find.

A target is made once and then called with bytes, over and over. It keeps nothing between calls, so that
each find can be repeated alone.
"""

from __future__ import annotations

import io
import socket
import struct
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from qm.errors import BadPayload, QueueError
from qm.messages import Claim, NewTask, Slot, TypeOptions, WorkerInfo
from qm.payload import digest, unpack, unpack_failure
from qm.queue import Queue
from qm.store.base import Store
from qm.store.memory import MemoryStore
from qm.store.sqlite import SQLiteStore
from qm.task import Lease, PackedTask, State, Task
from qm.web.app import build
from qm.web.preview import show_input, show_outcome
from qm.web.reader import Reader
from qm.wire.address import Address
from qm.wire.codec import decode_error, decode_reply, decode_request
from qm.wire.frames import Connection, WireError
from qm.wire.verbs import OBJECTS
from tests.web.calling import Manager, call

Target = Callable[[bytes], None]

#: The callable verbs by their places, the first byte of what `verbs` and `answers` are given.
VERBS: Final = [(target, verb) for target, verbs in OBJECTS.items() for verb in verbs]

#: In the place of the running task's token, which is random.
TOKEN: Final = 2**63 - 1

#: The longest text of a cell: a preview's 4 KiB, each character escaped.
_CELL_MAX: Final = 64 * 1024


def envelopes() -> Target:
    """A call, an answer and an error as they come from a peer."""
    decoders: tuple[Callable[[Any], object], ...] = (decode_request, decode_reply, decode_error)

    def run(data: bytes) -> None:
        for decode in decoders:
            try:
                decode(data)
            except WireError:
                continue

    return run


def frames() -> Target:
    """The bytes of a connection, from the first length on."""

    def run(data: bytes) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            theirs.setblocking(False)
            sent = theirs.send(data) if data else 0
            theirs.close()
            connection, seen = Connection(ours), 0
            try:
                while True:
                    seen += 4 + len(connection.recv_frame(5.0))
            except (EOFError, WireError):
                assert seen <= sent

    return run


def answers() -> Target:
    """What a manager may answer: the first byte says to which verb."""

    def run(data: bytes) -> None:
        if data:
            target, verb = VERBS[data[0] % len(VERBS)]
            try:
                OBJECTS[target][verb].decode_answer(data[1:])
            except WireError:
                return

    return run


def verbs() -> Target:
    """Arguments from a peer that knows the key, carried out on a queue with two tasks; the first byte says of
    which verb. A queue error is an answer; for anything else the manager would have to excuse itself."""

    def run(data: bytes) -> None:
        with closing(MemoryStore()) as store:
            _call(store, data)

    return run


def sqlite() -> Target:
    """The same on SQLite: slower, and stricter about what it keeps."""
    memory = Path("/dev/shm")
    folder = TemporaryDirectory(prefix="qm-fuzz.", dir=memory if memory.is_dir() else None)

    def run(data: bytes) -> None:
        path = Path(folder.name) / "queue.db"
        try:
            with closing(SQLiteStore.open(path, durability="relaxed")) as store:
                _call(store, data)
        finally:
            for left in path.parent.iterdir():
                left.unlink()

    run.close = folder.cleanup  # type: ignore[attr-defined]
    return run


def _call(store: Store, data: bytes) -> None:
    if not data:
        return
    queue, lease = _filled(store)
    target, verb = VERBS[data[0] % len(VERBS)]
    signature = OBJECTS[target][verb]
    try:
        arguments = signature.decode_arguments(data[1:].replace(_packed(TOKEN), _packed(lease.token)))
    except WireError:
        return
    if signature.waits:  # whoever waits finds nothing new, and costs time
        arguments[signature.names.index("wait")] = 0.0
    served: Any = {"wait": queue.wait, "progress": queue.progressing, "done": queue.done}.get(target, queue)
    with suppress(QueueError, OverflowError):  # the server answers both
        getattr(served, verb)(*arguments)


def _packed(token: int) -> bytes:
    """A token as msgpack's longest int, so that one can stand in the place of another."""
    return b"\xcf" + struct.pack("!Q", token) if token >= 0 else b"\xd3" + struct.pack("!q", token)


def _filled(store: Store) -> tuple[Queue, Lease]:
    """A queue with a session `s`, a running task `r`, and a waiting one, `w`; and the lease of `r`."""
    queue = Queue(store)
    queue.attach(WorkerInfo(session="s", host="h", pid=1, processes=1, types={"t": TypeOptions()}))
    for id_ in ("r", "w"):
        queue.add([NewTask(id=id_, type="t", input=b"\x01", digest=digest("t", b"\x01"))])
    (taken,) = queue.take(Claim(slot=Slot("s", 0, 0), call=1, holding=[], types=["t"]))
    return queue, taken.lease


def payloads() -> Target:
    """A payload, and an error's details, as a client reads them."""

    def run(data: bytes) -> None:
        with suppress(BadPayload):
            unpack(data)
        unpack_failure(data)

    return run


def preview() -> Target:
    """A payload as the page shows it: always a text, and a short one."""

    def run(data: bytes) -> None:
        for state, output, error in ((State.DONE, data, None), (State.FAILED, None, data)):
            task: PackedTask = Task(id="i", type="t", input=data, state=state, output=output, error=error)
            task.input_size = task.output_size = len(data)
            for text in (show_input(task), show_outcome(task)):
                assert isinstance(text, str)
                assert len(text) <= _CELL_MAX

    return run


def page() -> Target:
    """A path, a query, and the headers Host, Accept and If-None-Match, a line each, as a browser sends them.
    The answer may refuse, and never says that something went wrong."""
    manager = Manager()
    manager.work("work")
    manager.finish([1, 2], {"a": None})
    app = build(Reader(manager.remote), Address("127.0.0.1", 8080))

    def run(data: bytes) -> None:
        path, query, host, accept, tag = [*data.decode("latin-1").split("\n"), *[""] * 5][:5]
        more: dict[str, Any] = {"QUERY_STRING": query, "wsgi.errors": io.StringIO()}
        more |= {
            name: value for name, value in (("HTTP_ACCEPT", accept), ("HTTP_IF_NONE_MATCH", tag)) if value
        }
        answer = call(app, f"/{path}", host=host or "127.0.0.1", **more)
        assert answer.status < 500, answer
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]

    run.close = manager.close  # type: ignore[attr-defined]
    return run


#: By the names that scripts/fuzz knows.
TARGETS: Final[dict[str, Callable[[], Target]]] = {
    "frames": frames,
    "envelopes": envelopes,
    "verbs": verbs,
    "sqlite": sqlite,
    "answers": answers,
    "payloads": payloads,
    "preview": preview,
    "page": page,
}


def finish(target: Target) -> None:
    """Ends what a target has started."""
    close = getattr(target, "close", None)
    if close is not None:
        close()
