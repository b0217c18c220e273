"""Nobody wakes for nothing: an add wakes as many takers as it has tasks, an end those who wait for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any

import pytest

from qm.messages import Finish, NewTask, Taken, TypeOptions, WorkerInfo
from qm.queue import Queue
from qm.queue.commit import Commit
from qm.queue.waiter import Waiter
from qm.queue.wake import Endings, Parked, Takers
from qm.store.memory import MemoryStore
from tests.guard.meter import assert_at_most
from tests.queue.bench import PATIENCE, Call, Sleepers, a_claim

MANY = 100


class Wakes:
    """Counts the wakes of sleeping calls, and the commits."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._counted: list[str] = []
        for owner, name in ((Waiter, "wake"), (Commit, "run")):
            patch.setattr(owner, name, self._noting(name, getattr(owner, name)))

    def of(self, work: Callable[[], object]) -> int:
        """How many wakes some work makes."""
        self._counted.clear()
        work()
        return self._counted.count("wake")

    def commits(self) -> int:
        """How many commits there were since that work began."""
        return self._counted.count("run")

    def _noting(self, name: str, whole: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*args: Any, **kwds: Any) -> Any:
            self._counted.append(name)
            return whole(*args, **kwds)

        return noted


@pytest.fixture
def wakes(monkeypatch: pytest.MonkeyPatch) -> Wakes:
    return Wakes(monkeypatch)


def check_takers(wakes: Wakes) -> None:
    """A hundred takers, told of new tasks directly."""
    takers = Takers()
    for name in ("mail", "sms"):
        for _ in range(MANY):
            takers.park(Parked([name]))
    for tasks in (1, 7):
        woken = wakes.of(lambda tasks=tasks: takers.wake("mail", tasks))  # type: ignore[misc]
        assert_at_most(woken, tasks, f"wakes of {MANY} takers for {tasks} tasks: the herd stays asleep")
    assert len(takers) == 2 * MANY - 8
    assert_at_most(wakes.of(lambda: takers.wake("fax", 5)), 0, "wakes for a type that nobody waits for")


def check_endings(wakes: Wakes) -> None:
    """A hundred calls that wait for a task each, told of one end directly."""
    endings = Endings()
    watches = [endings.watch([str(number)]) for number in range(MANY)]
    assert_at_most(wakes.of(lambda: endings.tell(["7"])), 1, "wakes for one ended task")
    assert watches[7].waiter.sleep(0)


def check_queue(wakes: Wakes, sleepers: Sleepers) -> None:
    """A hundred workers that wait in the queue, and a producer who adds one task."""
    with parked_workers(sleepers) as (queue, answers):
        woken = wakes.of(lambda: queue.add([task("one")]))
        assert_at_most(woken, 1, f"wakes of {MANY} parked takers for one task: the herd stays asleep")
        (taken,) = answers.get(timeout=PATIENCE)
        assert len(queue.core.takers) == MANY - 1
        assert_at_most(wakes.commits(), 2, "commits: the add, and the look of the one who was woken")
        waiting = [Call(queue.get, [id_], 30.0) for id_ in _added(queue, MANY, "unserved")]
        waiting.append(Call(queue.get, ["one"], 30.0))
        sleepers.expect(len(waiting))
        woken = wakes.of(lambda: queue.finish([Finish(taken.lease, b"\x01")]))
        assert_at_most(woken, 1, f"wakes of {len(waiting)} waiting calls for one ended task")
        assert [task.id for task in waiting.pop().answer().tasks] == ["one"]
    for call in waiting:  # the queue drains
        call.answer()


def task(id_: str, type_: str = "mail") -> NewTask:
    return NewTask(id=id_, type=type_, input=b"\x01", digest=bytes(16))


def _added(queue: Queue, tasks: int, type_: str) -> list[str]:
    ids = [f"{type_}-{number}" for number in range(tasks)]
    queue.add([task(id_, type_) for id_ in ids])
    return ids


@contextmanager
def parked_workers(sleepers: Sleepers) -> Iterator[tuple[Queue, SimpleQueue[Sequence[Taken]]]]:
    """A queue in which MANY slots of one pool wait for mail; and where their answers come."""
    queue, answers = Queue(MemoryStore()), SimpleQueue[Sequence[Taken]]()
    types = {"mail": TypeOptions()}
    queue.attach(WorkerInfo(session="pool", host="alpha", pid=4711, processes=MANY, types=types))
    calls = [
        Call(lambda index=index: answers.put(queue.take(a_claim(index=index, types=["mail"]), 30.0)))
        for index in range(MANY)
    ]
    sleepers.expect(MANY)
    try:
        yield queue, answers
    finally:
        queue.drain()
        for call in calls:
            call.answer()


def test_new_tasks_wake_as_many_takers(wakes: Wakes) -> None:
    check_takers(wakes)


def test_an_end_wakes_those_who_wait_for_it(wakes: Wakes) -> None:
    check_endings(wakes)


def test_one_task_wakes_one_worker_and_its_end_one_producer(wakes: Wakes, sleepers: Sleepers) -> None:
    check_queue(wakes, sleepers)


def _whole_line(takers: Takers, name: str, tasks: int) -> None:
    wake(takers, name, len(takers))


def _everybody(endings: Endings, ids: Sequence[str]) -> None:
    endings.wake_all()


wake = Takers.wake


def test_a_herd_of_takers_is_caught(
    wakes: Wakes, sleepers: Sleepers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Takers, "wake", _whole_line)
    with pytest.raises(AssertionError, match="not at most 1 wakes"):
        check_takers(wakes)
    with pytest.raises(AssertionError, match="not at most 1 wakes of 100 parked"):
        check_queue(wakes, sleepers)


def test_a_herd_of_producers_is_caught(
    wakes: Wakes, sleepers: Sleepers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Endings, "tell", _everybody)
    with pytest.raises(AssertionError, match="not at most 1 wakes"):
        check_endings(wakes)
    with pytest.raises(AssertionError, match="not at most 1 wakes of 101 waiting"):
        check_queue(wakes, sleepers)
