"""drain: the queue stops, keeps nobody waiting, and loses nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from qm.messages import Fail, Finish, Orders, Progress, Retry, Verdict
from qm.queue import Queue
from qm.store.memory import MemoryStore
from qm.task import State
from tests.queue.bench import Bench, Call, Sleepers, a_claim

WAITS: dict[str, Callable[[Bench, int], object]] = {
    "get": lambda bench, _: [task.state for task in bench.queue.get(["a"], 20).tasks],
    "take": lambda bench, index: bench.take(wait=20, index=index, types=["sms"]),
    "exchange": lambda bench, index: bench.queue.exchange(a_claim(index=index, types=["sms"]), [], 20).tasks,
    "renew": lambda bench, index: bench.queue.renew(f"pool{index}", 10),
}

ANSWERS: dict[str, object] = {"get": [State.WAITING], "take": [], "exchange": [], "renew": Orders()}


@pytest.mark.parametrize("wait", WAITS)
def test_it_ends_every_wait(bench: Bench, sleepers: Sleepers, wait: str) -> None:
    bench.attach()
    bench.add("a")
    calls = []
    for index in range(3):
        bench.attach(f"pool{index}")
        calls.append(Call(WAITS[wait], bench, index))
    sleepers.expect(3)
    bench.queue.drain()
    for call in calls:
        assert call.answer() == ANSWERS[wait]


@pytest.mark.parametrize("wait", WAITS)
def test_a_call_that_comes_later_does_not_wait(bench: Bench, sleepers: Sleepers, wait: str) -> None:
    bench.attach()
    bench.attach("pool0")
    bench.add("a")
    bench.queue.drain()
    assert WAITS[wait](bench, 0) == ANSWERS[wait]
    assert sleepers.seconds == []


@pytest.mark.parametrize("wait", ["get", "take", "exchange"])
def test_a_call_that_is_about_to_sleep_does_not_wait(bench: Bench, sleepers: Sleepers, wait: str) -> None:
    """The drain comes between its look and its sleep."""
    bench.attach()
    bench.add("a")
    read = bench.store.get

    def look_and_drain(ids: list[str]) -> object:
        seen = [*read(ids)]
        bench.core.drain()
        return (task for task in seen)

    bench.store.get = look_and_drain  # type: ignore[method-assign, assignment]
    bench.store.after = bench.core.drain
    assert Call(WAITS[wait], bench, 0).answer() == ANSWERS[wait]
    assert sleepers.seconds == []


def test_a_drain_that_began_before_a_call_parks_is_seen(bench: Bench, sleepers: Sleepers) -> None:
    bench.attach()
    bench.store.before = bench.core.drain
    assert bench.take(wait=20) == []
    assert sleepers.seconds == []


def test_what_workers_still_have_to_say_is_taken(bench: Bench) -> None:
    a, b, c, d = bench.leases("a", "b", "c", "d")
    bench.queue.drain()
    assert bench.queue.progress([Progress(a, 0.5)]) == [Verdict.ACCEPTED]
    assert bench.queue.finish([Finish(a, b"")]) == [Verdict.ACCEPTED]
    assert bench.queue.fail([Fail(b, b"")]) == [Verdict.ACCEPTED]
    assert bench.queue.retry([Retry(c)]) == [Verdict.ACCEPTED]
    bench.queue.detach("pool")
    assert [bench.state(id_) for id_ in "abcd"] == [
        State.DONE,
        State.SCHEDULED,
        State.WAITING,
        State.WAITING,
    ]
    assert bench.task("d").attempt == d.attempt


def test_reading_goes_on(bench: Bench) -> None:
    bench.add("a")
    bench.queue.drain()
    assert bench.state("a") is State.WAITING
    assert bench.queue.status().wait == bench.queue.wait.count() == 1


def test_the_timer_ends_and_draining_twice_is_fine() -> None:
    queue = Queue(MemoryStore())
    queue.start()
    assert queue._timer.is_alive()
    queue.drain()
    assert not queue._timer.is_alive()
    queue.drain()
