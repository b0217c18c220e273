"""The cost of the path in frames, bytes and system calls on sockets; and that each guard can fail."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from qm.client import Client, new_task, producing
from qm.client import tasks as client_tasks
from qm.clock import boottime
from qm.ids import new_id
from qm.messages import NewTask, Slot, TypeOptions, WorkerInfo
from qm.operations import Operations
from qm.payload import pack
from qm.testing import RunningManager, running_manager
from qm.wire.frames import Connection
from qm.wire.shared import Line
from qm.worker import child as child_module
from qm.worker.alarm import Alarm
from qm.worker.child import Child
from qm.worker.output import Output
from qm.worker.pace import Pace
from qm.worker.page import Page
from tests.guard.wire import Wire

MANY = 1000
SLOT = Slot("pool", 0, 0)


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    return Wire(monkeypatch)


@pytest.fixture
def manager(wire: Wire) -> Iterator[RunningManager]:
    with running_manager() as manager:
        types = {"noop": TypeOptions()}
        info = WorkerInfo(session=SLOT.session, host="alpha", pid=4711, processes=1, types=types)
        manager.queue.attach(info)
        yield manager


@pytest.fixture
def client(manager: RunningManager) -> Client:
    client = manager.client()
    client.status()  # the connection is made and proved
    return client


def check_add(wire: Wire, client: Client) -> None:
    """Tasks one by one."""
    wire.traffic(lambda: [client.add("noop", 1) for _ in range(100)]).check(
        "a hundred adds: a request and a reply each, each sent and read by one system call",
        frames=200,
        sends=200,
        receives=202,  # one more where the manager's thread asks late for the first request
        limits=0,
        bytes=18_500,  # 15,900
    )


def check_bulk_add(wire: Wire, client: Client) -> None:
    """A thousand tasks at once."""
    tasks = [new_task("noop", 1) for _ in range(MANY)]
    wire.traffic(lambda: client.add_many(tasks)).check(
        "a bulk add: frames of 500 tasks, and nothing in them twice",
        frames=4,
        sends=4,
        bytes=125 * MANY,  # 109,224
    )


def check_get(wire: Wire, client: Client) -> None:
    """A thousand tasks at once."""
    ids = client.add_many(new_task("noop", 1) for _ in range(MANY))
    wire.traffic(lambda: client.get_many(ids)).check(
        "a get: a request and a reply, and no field of a task twice",
        frames=2,
        sends=2,
        bytes=145 * MANY,  # 128,069
    )


def check_drain(wire: Wire, client: Client) -> None:
    """A child that works off a thousand tasks."""
    client.add_many(new_task("noop", 1) for _ in range(MANY))
    page, alarm, ran = Page.create(), Alarm.create(1.0), itertools.count(1)
    page.session_end = boottime() + 3600
    operations = Operations()

    @operations.operation("noop")
    def noop(value: int) -> None:
        if next(ran) == MANY:
            page.drain()

    child = Child(client, operations, SLOT, page, alarm, Output.create(), 0.0)
    try:
        traffic = wire.traffic(child.work)
    finally:
        alarm.close()
        page.sent()
    assert client.status().done == MANY
    traffic.check(
        "a drain: batches double up to 256 tasks, and an exchange is a request and a reply",
        frames=34,  # 30
        sends=34,
        receives=40,  # 30, and more where a large frame comes in pieces
        limits=8,  # 5
        bytes=200 * MANY,  # 173,896
    )


@pytest.fixture
def steady(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each batch of a child takes a millisecond, whatever the machine says."""
    ticks = itertools.count()
    clock = SimpleNamespace(perf_counter=lambda: next(ticks) / 1000)
    monkeypatch.setattr(child_module, "time", clock)


CHECKS = [check_add, check_bulk_add, check_get, check_drain]


@pytest.mark.usefixtures("steady")
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_a_task_travels_for_no_more_than_it_did(check: Any, wire: Wire, client: Client) -> None:
    check(wire, client)


def _one_task_per_exchange(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Pace, "size", 1)


def _small_frames(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(client_tasks, "ADD_CHUNK", 100)


def _connection_per_call(patch: pytest.MonkeyPatch) -> None:
    call = Line.call

    def call_and_hang_up(line: Line, *args: Any) -> Any:
        try:
            return call(line, *args)
        finally:
            line.retire()

    patch.setattr(Line, "call", call_and_hang_up)


def _sent_in_two_calls(patch: pytest.MonkeyPatch) -> None:
    whole = Connection.send_frame

    def send_frame(connection: Connection, *args: Any) -> None:
        whole(connection, *args)
        connection.sock.sendall(b"")

    patch.setattr(Connection, "send_frame", send_frame)


def _limit_set_anew(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Connection, "_set_timeout", lambda end, seconds: end.sock.settimeout(seconds))


def _id_sent_twice(patch: pytest.MonkeyPatch) -> None:
    def padded(type: str, input: Any) -> NewTask:
        return replace(new_task(type, input), input=pack([input, new_id()]))

    patch.setattr(producing, "new_task", padded)


@pytest.mark.usefixtures("steady")
@pytest.mark.parametrize(
    ("mutant", "check", "number"),
    [
        (_one_task_per_exchange, check_drain, "frames"),
        (_small_frames, check_bulk_add, "frames"),
        (_connection_per_call, check_add, "frames"),
        (_sent_in_two_calls, check_add, "sends"),
        (_limit_set_anew, check_add, "limits"),
        (_id_sent_twice, check_add, "bytes"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_wastes_is_caught(
    mutant: Any, check: Any, number: str, wire: Wire, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutant(monkeypatch)
    with pytest.raises(AssertionError, match=rf"not at most [\d,]+ {number} "):
        check(wire, client)
