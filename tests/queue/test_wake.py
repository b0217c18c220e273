"""Who is woken: no task is left lying beside a sleeping worker, and nobody is woken who need not be."""

from __future__ import annotations

from qm.queue.waiter import Waiter
from qm.queue.wake import Endings, Parked, Takers


def awake(parked: Parked) -> bool:
    return not parked.waiter._lock.locked()


def park(takers: Takers, *types: str) -> Parked:
    parked = Parked(types)
    takers.park(parked)
    return parked


def test_each_task_wakes_one_taker_the_longest_waiting_first() -> None:
    takers = Takers()
    first, second, third = (park(takers, "a") for _ in range(3))
    takers.wake("a", 2)
    assert [awake(parked) for parked in (first, second, third)] == [True, True, False]
    assert len(takers) == 1


def test_a_taker_is_woken_for_its_types_only() -> None:
    takers = Takers()
    parked = park(takers, "a", "b", "a")
    takers.wake("c", 5)
    assert not awake(parked)
    takers.wake("b", 5)
    assert awake(parked) and parked.woken_for == "b"
    assert len(takers) == 0, "it stood in two lines and left one"


def test_a_woken_taker_parks_at_the_end_of_the_line() -> None:
    takers = Takers()
    first, second = park(takers, "a"), park(takers, "a")
    takers.wake("a", 1)
    assert first.waiter.sleep(0)
    assert takers.park(first) == "a"
    takers.wake("a", 1)
    assert awake(second) and not awake(first)


def test_a_wake_that_was_not_used_goes_to_the_next() -> None:
    takers = Takers()
    first, second = park(takers, "a"), park(takers, "a")
    takers.wake("a", 1)
    takers.leave(first)
    assert awake(second)


def test_a_taker_that_leaves_unwoken_wakes_nobody() -> None:
    takers = Takers()
    first, second = park(takers, "a"), park(takers, "a")
    takers.leave(first)
    takers.pass_on(None)
    assert not awake(second)
    takers.leave(second)
    assert len(takers) == 0


def test_all_are_woken_at_the_end() -> None:
    takers = Takers()
    parked = [park(takers, "a"), park(takers, "a", "b"), park(takers, "b")]
    takers.wake_all()
    assert all(map(awake, parked)) and len(takers) == 0


def test_a_wake_before_the_sleep_ends_it_and_two_wakes_are_one() -> None:
    waiter = Waiter()
    waiter.wake()
    waiter.wake()
    assert waiter.sleep(3600)
    assert not waiter.sleep(0)
    assert not waiter.sleep(-1)


def test_a_watch_ends_with_the_last_of_its_tasks() -> None:
    endings = Endings()
    watch = endings.watch(["a", "b", "c"])
    assert endings.settle_for(watch, ["a", "b"])
    endings.tell(["a", "x"])
    assert not watch.waiter.sleep(0)
    endings.tell(["b"])
    assert watch.waiter.sleep(0)
    endings.leave(watch, ["a", "b", "c"])
    assert len(endings) == 0


def test_an_end_told_before_a_watch_settles_for_less_is_not_waited_for() -> None:
    endings = Endings()
    watch = endings.watch(["a", "b"])
    endings.tell(["b"])
    assert not endings.settle_for(watch, ["b"])
    endings.leave(watch, ["a", "b"])
    assert len(endings) == 0
