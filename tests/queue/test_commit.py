"""Group commit: who shares a transaction with whom, and what becomes of each."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from qm.errors import BadRequest, NotCommitted
from qm.queue.commit import Commit
from qm.store.base import Transaction
from qm.store.memory import MemoryStore
from qm.store.memory.transaction import MemoryTransaction
from qm.testing.contract.samples import new
from tests.queue.bench import PATIENCE, Call


class CountingStore(MemoryStore):
    """A store that tells of its transactions, and can hold one back at its commit."""

    def __init__(self) -> None:
        super().__init__()
        self.kinds: list[bool] = []
        self.savepoints = 0
        self.refuse = False

    @contextmanager
    def begin(self, *, sync: bool = True) -> Iterator[MemoryTransaction]:
        self.kinds.append(sync)
        with super().begin(sync=sync) as tx:
            savepoint = tx.savepoint

            @contextmanager
            def counted() -> Iterator[None]:
                self.savepoints += 1
                with savepoint():
                    yield

            tx.savepoint = counted  # type: ignore[method-assign]
            yield tx
            if self.refuse:
                raise NotCommitted("the disk is full")


class Crowd:
    """A leader that is held in the middle of its work, while others come."""

    def __init__(self, sync: bool = True) -> None:
        self.store = CountingStore()
        self.commit = Commit(self.store)
        self._entered, self._go = threading.Event(), threading.Event()
        self.leader = Call(self.commit.run, self._held, sync=sync)
        assert self._entered.wait(PATIENCE)
        self.calls: list[Call] = []

    def _held(self, tx: Transaction) -> str:
        tx.add([new("leader")], 1.0)
        self._entered.set()
        assert self._go.wait(PATIENCE)
        return "led"

    def come(self, work: Callable[[Transaction], Any], sync: bool = True) -> Call:
        """Another caller comes, and waits for the leader."""
        waiting = len(self.commit._waiting)
        call = Call(self.commit.run, work, sync=sync)
        self.calls.append(call)
        deadline = threading.Event()
        while len(self.commit._waiting) == waiting and not deadline.wait(0.001):
            assert call.is_alive()
        return call

    def go(self) -> None:
        """The leader goes on; waits for everybody."""
        self._go.set()
        for call in (self.leader, *self.calls):
            call.join(PATIENCE)
            assert not call.is_alive()

    def has(self, id_: str) -> bool:
        """Whether a task is stored."""
        return next(self.store.get([id_])) is not None


def adding(id_: str) -> Callable[[Transaction], str]:
    def work(tx: Transaction) -> str:
        tx.add([new(id_)], 1.0)
        return id_

    return work


def failing(tx: Transaction) -> None:
    tx.add([new("bad")], 1.0)
    raise BadRequest("no")


def test_a_caller_alone_has_a_transaction_of_its_own_without_savepoints() -> None:
    store = CountingStore()
    assert Commit(store).run(adding("a")) == "a"
    assert (store.kinds, store.savepoints) == ([True], 0)


def test_those_who_come_meanwhile_ride_in_the_same_transaction() -> None:
    crowd = Crowd()
    calls = [crowd.come(adding(f"t{n}")) for n in range(5)]
    crowd.go()
    assert crowd.store.kinds == [True]
    assert crowd.leader.answer() == "led"
    assert [call.answer() for call in calls] == [f"t{n}" for n in range(5)]
    assert all(crowd.has(f"t{n}") for n in range(5))


def test_one_who_fails_fails_alone() -> None:
    crowd = Crowd()
    first, bad, last = crowd.come(adding("a")), crowd.come(failing), crowd.come(adding("b"))
    crowd.go()
    with pytest.raises(BadRequest):
        bad.answer()
    assert (first.answer(), last.answer(), crowd.leader.answer()) == ("a", "b", "led")
    assert [crowd.has(id_) for id_ in ("leader", "a", "b", "bad")] == [True, True, True, False]


def test_a_leader_that_fails_leaves_those_behind_it_unharmed() -> None:
    store = CountingStore()
    commit = Commit(store)
    with pytest.raises(BadRequest):
        commit.run(failing)
    assert commit.run(adding("a")) == "a"
    assert next(store.get(["bad"])) is None


def test_when_the_commit_fails_everybody_is_told_and_nothing_has_happened() -> None:
    crowd = Crowd()
    rider = crowd.come(adding("a"))
    crowd.store.refuse = True
    crowd.go()
    for call in (crowd.leader, rider):
        with pytest.raises(NotCommitted):
            call.answer()
    assert not crowd.has("leader") and not crowd.has("a")


def test_work_that_needs_a_sync_does_not_ride_without_one() -> None:
    crowd = Crowd(sync=False)
    rider = crowd.come(adding("a"), sync=True)
    crowd.go()
    assert crowd.store.kinds == [False, True]
    assert rider.answer() == "a"


def test_work_without_a_sync_rides_with_one() -> None:
    crowd = Crowd(sync=True)
    rider = crowd.come(adding("a"), sync=False)
    crowd.go()
    assert crowd.store.kinds == [True]
    assert rider.answer() == "a"


def test_a_long_transaction_takes_no_more_riders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qm.queue.commit._SLICE", 0.0)
    crowd = Crowd()
    calls = [crowd.come(adding(f"t{n}")) for n in range(3)]
    crowd.go()
    assert len(crowd.store.kinds) > 1
    assert [call.answer() for call in calls] == ["t0", "t1", "t2"]


def test_no_caller_is_left_behind_under_load() -> None:
    store = CountingStore()
    commit = Commit(store)

    def many(worker: int) -> list[str]:
        return [commit.run(adding(f"{worker}-{n}"), sync=n % 2 == 0) for n in range(50)]

    calls = [Call(many, worker) for worker in range(8)]
    for worker, call in enumerate(calls):
        call.join(PATIENCE)
        assert call.answer() == [f"{worker}-{n}" for n in range(50)]
    assert len(store.kinds) <= 400
    assert sum(states.get("waiting", 0) for states in store.counts().values()) == 400  # type: ignore[call-overload]
