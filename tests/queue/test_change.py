"""cancel, requeue, forget."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from qm.errors import Draining, NotCommitted, TooLarge
from qm.limits import IDS_MAX
from qm.messages import AddStatus, Fail, Finish
from qm.policy.retention import KEEP_ENDED, KEEP_ID
from qm.task import State
from qm.testing.contract.samples import new
from tests.queue.bench import Bench, Call, Sleepers


def one_in_each_state(bench: Bench) -> None:
    """Tasks named after the states that they are in."""
    running, done, failed = bench.leases("running", "done", "failed")
    assert running.id == "running"
    bench.queue.finish([Finish(done, b"")])
    bench.queue.fail([Fail(failed, b"oops", retryable=False)])
    bench.add("waiting", new("scheduled", delay=5.0), "cancelled")
    bench.queue.cancel(["cancelled"])


ALL = ["waiting", "scheduled", "running", "done", "failed", "cancelled"]


@pytest.mark.parametrize(
    ("verb", "changed", "target"),
    [
        ("cancel", {"waiting", "scheduled"}, State.CANCELLED),
        ("requeue", {"failed"}, State.WAITING),
        ("forget", {"done", "failed", "cancelled"}, None),
    ],
)
def test_it_changes_just_those_whose_state_allows_it_and_tells_each_state(
    bench: Bench, verb: str, changed: set[str], target: State | None
) -> None:
    one_in_each_state(bench)
    assert getattr(bench.queue, verb)(["unknown", *ALL]) == [None, *(State(id_) for id_ in ALL)]
    left = {task.id: task.state for task in bench.queue.get(ALL).tasks}
    expected = {id_: target if id_ in changed else State(id_) for id_ in ALL}
    assert left == {id_: state for id_, state in expected.items() if state is not None}


@pytest.mark.parametrize("verb", ["cancel", "requeue", "forget"])
def test_too_many_ids_are_refused(bench: Bench, verb: str) -> None:
    with pytest.raises(TooLarge, match="limit is 1000"):
        getattr(bench.queue, verb)(["a"] * (IDS_MAX + 1))


def test_a_cancelled_task_ends_for_those_who_wait_for_it(bench: Bench, sleepers: Sleepers) -> None:
    bench.add("a")
    reader = Call(bench.queue.get, ["a"], 20)
    sleepers.expect()
    bench.queue.cancel(["a", "a"])
    (task,) = reader.answer().tasks
    assert (task.state, task.expires) == (State.CANCELLED, bench.clock.now() + KEEP_ENDED)


def test_a_requeued_task_is_as_new_and_wakes_a_waiting_take(bench: Bench, sleepers: Sleepers) -> None:
    (lease,) = bench.leases("a")
    bench.queue.fail([Fail(lease, b"oops", retryable=False)])
    taker = Call(bench.take, index=1, wait=20)
    sleepers.expect()
    assert bench.queue.requeue(["a", "a"]) == [State.FAILED, State.WAITING]
    assert [task.id for task in taker.answer()] == ["a"]
    assert bench.counters("a") == (0, 0, 0)


def test_a_stopping_queue_requeues_nothing(bench: Bench) -> None:
    one_in_each_state(bench)
    bench.core.drain()
    with pytest.raises(Draining):
        bench.queue.requeue(["failed"])
    assert bench.state("failed") is State.FAILED


def test_a_forgotten_id_stays_known_for_a_day(bench: Bench) -> None:
    one_in_each_state(bench)
    bench.queue.forget(["done"])
    bench.clock.advance(KEEP_ID - 1)
    bench.tick()
    assert bench.add("done").statuses == [AddStatus.DUPLICATE]
    bench.clock.advance(1)
    bench.tick()
    assert bench.add("done").statuses == [AddStatus.CREATED]


@pytest.mark.parametrize(
    ("change", "id_"),
    [
        (lambda bench: bench.queue.cancel(["waiting"]), "waiting"),
        (lambda bench: bench.queue.requeue(["failed"]), "failed"),
        (lambda bench: bench.queue.forget(["done"]), "done"),
    ],
)
def test_those_who_wait_hear_of_it_only_when_it_is_committed(
    bench: Bench, sleepers: Sleepers, change: Callable[[Bench], object], id_: str
) -> None:
    one_in_each_state(bench)
    bench.take(2, limit=0)  # gives "running" back
    bench.take(3, index=1, limit=2)
    bench.add("waiting2")
    bench.take(4, index=2)
    bench.add(new("waiting3", "fax"))
    taker = Call(bench.take, 1, index=3, wait=20)
    reader = Call(bench.queue.get, ["waiting3"], 20)
    sleepers.expect(2)
    before = bench.state(id_)
    bench.store.refuse = 1
    with pytest.raises(NotCommitted):
        change(bench)
    assert bench.state(id_) is before
    assert (len(bench.core.endings), len(bench.core.takers)) == (1, 1)
    bench.add("last")
    bench.queue.cancel(["waiting3"])
    assert len(taker.answer()) == 1
    assert len(reader.answer().tasks) == 1
