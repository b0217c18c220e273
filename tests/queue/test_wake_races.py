"""No task is left lying beside a sleeping worker, whatever comes between whatever."""

from __future__ import annotations

import itertools
import random
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qm.errors import BadRequest, NotCommitted, SessionLost
from qm.messages import Crash, Release, Slot, Taken
from qm.queue.waiter import Waiter
from qm.task import State
from qm.testing.contract.samples import new
from tests.queue.bench import PATIENCE, Bench, a_claim
from tests.queue.stepper import Actor, Stepper


class Wish(NamedTuple):
    """What a taker of a run wants."""

    slot: int
    types: Sequence[str]
    limit: int
    wait: int


@st.composite
def wishes_of_takers(draw: st.DrawFn) -> list[Wish]:
    """Mostly takers that sleep until they get one task; now and then one is overtaken, or wants nothing."""
    chance = draw(st.randoms(use_true_random=False))
    return [
        Wish(
            slot=chance.choice([number, number, number, 0]),
            types=chance.choice([("a",), ("a",), ("b",), ("b", "a")]),
            limit=chance.choice([1, 1, 1, 1, 2, 0]),
            wait=chance.choice([20, 20, 20, 20, 20, 0]),
        )
        for number in range(draw(st.integers(2, 5)))
    ]


BATCHES = st.lists(st.lists(st.sampled_from("aab"), min_size=1, max_size=3), min_size=1, max_size=3)
TROUBLES = st.lists(st.sampled_from(["drain", "detach", "crash", "release", "refuse"]), max_size=2)


@settings(max_examples=300)
@given(
    wishes=wishes_of_takers(),
    batches=BATCHES,
    troubles=TROUBLES,
    rank=st.permutations(range(10)),
    falls=st.sets(st.integers(0, 40), max_size=4),
)
def test_in_no_order_of_steps_is_a_task_left_beside_a_sleeping_worker(
    wishes: list[Wish], batches: list[list[str]], troubles: list[str], rank: list[int], falls: set[int]
) -> None:
    """Takers that are overtaken, adds, worker deaths, commits that fail: whatever comes between whatever."""
    bench = Bench()
    bench.attach("pool", ["a", "b"])
    bench.add(new("first", "a"))
    (first,) = bench.take(1, index=9, types=["a"])
    with pytest.MonkeyPatch.context() as patch:
        stepper = Stepper(bench.store, patch)
        takers = {
            stepper.add(f"taker {n}", partial(take, bench, n, wish)): wish for n, wish in enumerate(wishes)
        }
        ids = itertools.count()
        for types in batches:
            tasks = [new(f"t{next(ids)}", name) for name in types]
            stepper.add(f"add {types}", partial(bench.queue.add, tasks))
        for trouble in troubles:
            stepper.add(trouble, partial(make, bench, trouble, first))
        try:
            stepper.run(rank, falls)
            asleep = {actor.name: wish for actor, wish in takers.items() if not actor.over}
            left = [name for name, wish in asleep.items() if has_waiting(bench, wish.types)]
            assert left == [], f"{left} sleep beside a task"
            check_raised(stepper, troubles)
            if not {"detach", "crash", "refuse"} & {*troubles}:
                check_given(bench, takers)
        finally:
            bench.core.drain()
            stepper.run()
    assert len(bench.core.takers) == 0


def take(bench: Bench, call: int, wish: Wish) -> Sequence[Taken]:
    claim = a_claim(call, index=wish.slot, types=wish.types, limit=wish.limit)
    return bench.queue.take(claim, wish.wait)


def make(bench: Bench, trouble: str, first: Taken) -> None:
    """What may happen beside takes and adds."""
    if trouble == "drain":
        bench.queue.renew("pool", draining=True)
    elif trouble == "detach":
        bench.queue.detach("pool")
    elif trouble == "crash":
        bench.queue.crashed(Crash(slot=Slot("pool", 0, 0), exitcode=-9))
    elif trouble == "release":
        bench.queue.release([Release(first.lease)])
    else:
        bench.store.refuse = 1


def has_waiting(bench: Bench, types: Sequence[str]) -> bool:
    """Whether a task of one of the types waits."""
    counts = bench.store.counts()
    return any(counts.get(name, {}).get(State.WAITING) for name in types)


def check_raised(stepper: Stepper, troubles: Sequence[str]) -> None:
    """Nobody raised anything but what follows from the troubles."""
    may = {"detach": SessionLost, "crash": BadRequest, "refuse": NotCommitted}
    allowed = tuple(may[trouble] for trouble in troubles if trouble in may)
    raised = [actor.error for actor in stepper.actors if actor.error is not None]
    assert [error for error in raised if not isinstance(error, allowed)] == []


def check_given(bench: Bench, takers: dict[Actor, Wish]) -> None:
    """What the last call of each slot was given is leased to it still."""
    last = {wish.slot: actor for actor, wish in takers.items()}
    for actor in last.values():
        tasks = actor.answer or ()
        held = bench.store.leased([task.lease for task in tasks])
        assert None not in held, f"what {actor.name} got was given back behind its back"


@pytest.fixture
def hurried() -> Iterator[None]:
    """Threads change places as often as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


class Hall:
    """Knows when all calls of a run with real threads are over or asleep, and none is about to wake."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._changed = threading.Condition()
        self._asleep: dict[Waiter, str] = {}
        self._over = 0
        sleep, wake = Waiter.sleep, Waiter.wake

        def counted_sleep(waiter: Waiter, seconds: float) -> bool:
            with self._changed:
                if waiter._lock.locked():
                    self._asleep[waiter] = threading.current_thread().name
                    self._changed.notify_all()
            return sleep(waiter, seconds)

        def counted_wake(waiter: Waiter) -> None:
            with self._changed:
                self._asleep.pop(waiter, None)
                wake(waiter)

        patch.setattr(Waiter, "sleep", counted_sleep)
        patch.setattr(Waiter, "wake", counted_wake)

    def start(self, name: str, work: Callable[[], object]) -> threading.Thread:
        """Runs a call in a thread."""

        def counted() -> None:
            try:
                work()
            finally:
                with self._changed:
                    self._over += 1
                    self._changed.notify_all()

        thread = threading.Thread(target=counted, name=name, daemon=True)
        thread.start()
        return thread

    def settle(self, calls: int) -> list[str]:
        """Returns when so many calls are over or asleep: the names of those asleep."""
        with self._changed:
            still = self._changed.wait_for(lambda: self._over + len(self._asleep) == calls, PATIENCE)
            assert still, "somebody neither sleeps nor ends"
            return [*self._asleep.values()]


def keep(got: list[str], bench: Bench, wish: Wish) -> None:
    """Notes which tasks a take got."""
    got.extend(task.id for task in take(bench, 1, wish))


@pytest.mark.usefixtures("hurried")
def test_under_stress_no_task_is_left_beside_a_sleeping_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds of takes and adds in real threads. A worker who got a task is busy with it from then on."""
    chance = random.Random()
    hall = Hall(monkeypatch)
    calls = 0
    for number in range(400):
        bench = Bench()
        bench.attach("pool", ["a", "b"])
        got: list[str] = []
        wishes = {f"taker {n}": Wish(n, chance.choice([["a"], ["a"], ["b", "a"]]), 1, 20) for n in range(4)}
        tasks = [new(f"t{n}", chance.choice("aab")) for n in range(4)]
        work: list[tuple[str, Callable[[], object]]] = []
        work += [(name, partial(keep, got, bench, wish)) for name, wish in wishes.items()]
        work += [(f"add {n}", partial(bench.queue.add, [task])) for n, task in enumerate(tasks)]
        chance.shuffle(work)
        threads = [hall.start(name, call) for name, call in work]
        calls += len(threads)
        asleep = hall.settle(calls)
        left = [name for name in asleep if has_waiting(bench, wishes[name].types)]
        assert left == [], f"round {number}: {left} sleep beside a task"
        bench.core.drain()
        for thread in threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()
        assert len(got) == len({*got}) == bench.queue.progressing.count()
        assert len(bench.core.takers) == 0
