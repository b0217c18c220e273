"""A connection that is cut within a call: at every byte of what is said, and at every byte of the answer.

The client says the call again. Whether it had been carried out or not, what is done is done once.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from qm.client import Client, new_task
from qm.messages import Crash, Finish, Slot, Taken, TypeOptions, WorkerInfo
from qm.payload import pack
from qm.task import Lease, Outcome, State
from qm.testing import RunningManager
from tests.client.wire import Wire
from tests.client.worker import FAILURE


@dataclass
class Stage:
    """A client behind a wire that can be cut, another one that cannot, and tasks of a type of its own."""

    client: Client
    other: Client
    type: str
    slot: Slot

    def add(self, number: int) -> list[str]:
        return self.other.add_many(new_task(self.type, n) for n in range(number))

    def take(self) -> Lease:
        """The lease of a task that the slot holds. It is taken through the wire, as call numbers want it."""
        self.add(1)
        (task,) = self.client.take_many(self.slot, [self.type], 1)
        return task.lease

    def outcomes(self, id_: str) -> list[Outcome]:
        """How the attempts of a task ended, the oldest first."""
        return [attempt.outcome for attempt in reversed(self.other.attempts(id_))]

    def states(self) -> dict[State, int]:
        return self.other.status().types.get(self.type, {})


#: A verb's act, made ready by a function that gives it together with what must hold after it.
Act = tuple[Callable[[], object], Callable[[], object]]


def add(stage: Stage) -> Act:
    return lambda: stage.client.add(stage.type, "x"), lambda: stage.states() == {State.WAITING: 1}


def add_many(stage: Stage) -> Act:
    def act() -> object:
        return stage.client.add_many(new_task(stage.type, n) for n in range(3))

    return act, lambda: stage.states() == {State.WAITING: 3}


def take(stage: Stage) -> Act:
    """Of three tasks the slot gets one, and that is the one it is told of."""
    first, *_ = stage.add(3)
    taken: list[Taken] = []

    def right() -> bool:
        (lease,) = (task.lease for task in taken)
        found = stage.other.get(first)
        attempts = [Outcome.RELEASED] * (found.attempt - 1)
        return (
            (lease.id, lease.attempt) == (first, found.attempt)
            and stage.states() == {State.RUNNING: 1, State.WAITING: 2}
            and stage.outcomes(first) == attempts
            and (found.failures, found.crashes, found.lost) == (0, 0, 0)
        )

    return lambda: taken.extend(stage.client.take_many(stage.slot, [stage.type], 1)), right


def finish(stage: Stage) -> Act:
    lease = stage.take()

    def right() -> bool:
        return stage.outcomes(lease.id) == [Outcome.OK] and stage.other.result(lease.id) == "out"

    return lambda: stage.client.finish(lease, "out"), right


def fail(stage: Stage) -> Act:
    lease = stage.take()

    def right() -> bool:
        task = stage.other.get(lease.id)
        return (task.failures, stage.outcomes(lease.id)) == (1, [Outcome.ERROR])

    return lambda: stage.client.fail(lease, FAILURE), right


def retry(stage: Stage) -> Act:
    lease = stage.take()

    def right() -> bool:
        task = stage.other.get(lease.id)
        return (task.failures, stage.outcomes(lease.id)) == (1, [Outcome.ERROR])

    return lambda: stage.client.retry(lease), right


def release(stage: Stage) -> Act:
    lease = stage.take()
    return lambda: stage.client.release(lease), lambda: stage.outcomes(lease.id) == [Outcome.RELEASED]


def exchange(stage: Stage) -> Act:
    """One is finished, and one of two others is taken."""
    lease = stage.take()
    first, _ = stage.add(2)
    done = [Finish(lease, pack("out"))]
    taken: list[Taken] = []

    def act() -> None:
        taken.extend(stage.client.exchange(stage.slot, done, [stage.type], 1).tasks)

    def right() -> bool:
        return (
            [task.id for task in taken] == [first]
            and taken[0].lease.attempt == stage.other.get(first).attempt
            and stage.outcomes(lease.id) == [Outcome.OK]
            and stage.states() == {State.DONE: 1, State.RUNNING: 1, State.WAITING: 1}
        )

    return act, right


def crashed(stage: Stage) -> Act:
    lease = stage.take()
    crash = Crash(slot=stage.slot, exitcode=-9, current=lease)

    def right() -> bool:
        return (stage.other.get(lease.id).crashes, stage.outcomes(lease.id)) == (1, [Outcome.CRASHED])

    return lambda: stage.client.crashed(crash), right


def cancel(stage: Stage) -> Act:
    (id_,) = stage.add(1)
    return lambda: stage.client.cancel(id_), lambda: stage.states() == {State.CANCELLED: 1}


VERBS = (add, add_many, take, finish, fail, retry, release, exchange, crashed, cancel)


@pytest.fixture
def stages(
    manager: RunningManager, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], Stage]]:
    """Gives a fresh one each time."""
    monkeypatch.setattr("qm.client.patience._FIRST_PAUSE", 0)
    numbers = itertools.count()

    def stage() -> Stage:
        number = next(numbers)
        type_ = f"type{number}"
        types = {type_: TypeOptions()}
        other.attach(WorkerInfo(session=f"s{number}", host="a", pid=1, processes=1, types=types))
        return Stage(client, other, type_, Slot(f"s{number}", 0, 0))

    with Client(wire.address, manager.authkey) as client, manager.client() as other:
        client.status()  # connected: what comes now are calls and answers
        yield stage


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("way", ["calls", "answers"])
def test_a_call_that_is_cut_anywhere_is_done_once(
    stages: Callable[[], Stage], wire: Wire, verb: Callable[[Stage], Act], way: str
) -> None:
    flow = wire.calls if way == "calls" else wire.answers
    act, right = verb(stages())
    before = flow.bytes
    act()
    size = flow.bytes - before
    assert size > 4
    assert right()
    for byte in range(size + 1):
        act, right = verb(stages())
        flow.cut_after(byte)
        act()
        assert right(), f"cut after {byte} of {size} bytes"
        assert byte >= size or flow.is_cut
