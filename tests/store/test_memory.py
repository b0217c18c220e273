"""What the memory store promises beyond the contract of all stores."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from qm.errors import StoreError
from qm.messages import Finish, ListQuery, NewTask, Slot, WorkerInfo
from qm.store.memory import MemoryStore
from qm.task import Lease, State

NOW = 1_700_000_000.0
DAY = 86400.0
SLOT = Slot("session-1", 0, 1)


def new(id_: str, *, type_: str = "mail", delay: float = 0.0, priority: int = 0) -> NewTask:
    return NewTask(id=id_, type=type_, input=b"in", digest=b"d" * 16, delay=delay, priority=priority)


def lease(store: MemoryStore) -> Lease:
    (taken,) = store.take(SLOT, ["mail"], 1, NOW, DAY)
    return taken.lease


def finish(store: MemoryStore) -> None:
    store.finish([Finish(lease(store), b"out")], NOW, DAY)


def filled(backlog: int) -> MemoryStore:
    """A store with so many waiting, scheduled and ended tasks each."""
    store = MemoryStore()
    store.add([new(f"w{i}", priority=i % 3) for i in range(backlog)], NOW)
    store.add([new(f"s{i}", delay=1.0 + i) for i in range(backlog)], NOW)
    store.add([new(f"e{i}", type_="sms") for i in range(backlog)], NOW)
    for i in range(backlog):
        store.cancel([f"e{i}"], NOW + i % 100, DAY)
    return store


def calls(work: Callable[[], Any]) -> int:
    """How many functions `work` calls, those of the interpreter included: a clock that nothing disturbs."""
    count = 0

    def tick(frame: FrameType, event: str, arg: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(tick)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


WORK: dict[str, Callable[[MemoryStore], Any]] = {
    "add": lambda store: store.add([new("x")], NOW),
    "take": lease,
    "take and finish": finish,
    "take and release": lambda store: store.release([lease(store)], NOW),
    "cancel": lambda store: store.cancel(["w50"], NOW, DAY),
    "forget": lambda store: store.forget(["e50"], NOW),
    "promote": lambda store: store.promote(NOW + 9, 5),
    "expire": lambda store: store.expire(NOW + DAY + 9, NOW + DAY, 5),
    "list": lambda store: store.list(ListQuery(limit=5)),
    "list ended": lambda store: store.list(ListQuery(states=(State.CANCELLED,), limit=5)),
    "counts": lambda store: store.counts(),
    "held": lambda store: store.held(SLOT),
}


@pytest.mark.parametrize("work", WORK.values(), ids=WORK)
def test_no_cost_grows_with_the_backlog(work: Callable[[MemoryStore], Any]) -> None:
    short, long = filled(100), filled(5000)
    few, many = calls(lambda: work(short)), calls(lambda: work(long))
    assert few > 0
    assert many <= few * 1.3


def test_a_transaction_undone_leaves_nothing_behind_however_often() -> None:
    store = filled(100)
    before = calls(lambda: lease(store))
    for _ in range(50):
        with pytest.raises(ZeroDivisionError), store.begin() as transaction:
            transaction.take(SLOT, ["mail"], 50, NOW, DAY)
            transaction.cancel([f"w{i}" for i in range(100)], NOW, DAY)
            raise ZeroDivisionError
    assert calls(lambda: lease(store)) <= before * 1.3
    assert store.counts()["mail"] == {State.WAITING: 98, State.SCHEDULED: 100, State.RUNNING: 2}


def test_nothing_stays_in_memory_of_tasks_that_are_gone() -> None:
    store = MemoryStore()
    worker = WorkerInfo(session="session-1", host="a", pid=1, processes=1, types={})
    for round_ in range(3):
        store.attach(worker, NOW)
        store.add([new(f"t{i}", type_="mail" if i % 2 else "sms") for i in range(20)], NOW)
        store.add([new(f"later-{i}", delay=5.0) for i in range(20)], NOW)
        store.promote(NOW + 5, 10)
        for one in store.take(SLOT, ["mail", "sms"], 15, NOW, DAY):
            store.release([one.lease], NOW)
        for one in store.take(SLOT, ["mail", "sms"], 15, NOW, DAY):
            store.finish([Finish(one.lease, b"out")], NOW, DAY)
        store.cancel([f"t{i}" for i in range(20)] + [f"later-{i}" for i in range(20)], NOW, DAY)
        assert store.expire(NOW + DAY, NOW, 1000) == 80
        store.detach("session-1")
        tables = store._tables
        assert tables is not None
        left = {name: value for name, value in vars(tables).items() if name not in ("lines", "_numbers")}
        assert not any(left.values()), f"round {round_}"
        assert not any(tables.lines.values())


def test_it_says_that_a_transaction_is_open_already() -> None:
    store = MemoryStore()
    with store.begin() as transaction:
        transaction.add([new("a")], NOW)
        with pytest.raises(StoreError, match="in a transaction already"):
            store.add([new("b")], NOW)
        assert store.counts() == {"mail": {State.WAITING: 1}}
    assert [task and task.id for task in store.get(["a", "b"])] == ["a", None]


def test_a_closed_store_says_so_and_has_forgotten_everything() -> None:
    store = filled(1)
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.counts()
    with pytest.raises(StoreError, match="closed"):
        store.add([new("a")], NOW)
