"""take, said again, late, or by the dead: call numbers, and what a slot says that it holds."""

from __future__ import annotations

import pytest

from qm.errors import BadRequest, NotCommitted
from qm.messages import Crash, Slot
from qm.task import State
from tests.queue.bench import Bench, Call, Sleepers, overtaken


def test_a_call_said_twice_or_late_does_nothing(bench: Bench) -> None:
    bench.attach()
    bench.add("a", "b")
    (taken,) = bench.take(7)
    assert bench.take(7, wait=20) == []
    assert bench.take(6, wait=20) == []
    assert (bench.state("a"), bench.state("b")) == (State.RUNNING, State.WAITING)
    assert [task.id for task in bench.take(8, holding=[taken.lease])] == ["b"]


def test_call_numbers_belong_to_a_slot(bench: Bench) -> None:
    bench.attach()
    bench.attach("other")
    bench.add("a", "b", "c", "d")
    assert len(bench.take(5)) == 1
    assert len(bench.take(1, index=1)) == 1
    assert len(bench.take(1, incarnation=1)) == 1
    assert len(bench.take(1, session="other")) == 1


def test_a_later_call_ends_the_waiting_one(bench: Bench, sleepers: Sleepers) -> None:
    bench.attach()
    first = Call(bench.take, 1, wait=20)
    sleepers.expect()
    second = Call(bench.take, 2, wait=20)
    assert first.answer() == []
    sleepers.expect()
    bench.add("a")
    assert [task.id for task in second.answer()] == ["a"]


def test_what_a_lost_answer_gave_goes_back_to_its_place_uncounted(bench: Bench) -> None:
    bench.attach()
    bench.add("a", "b", "c")
    lost = bench.take(1, limit=2)
    taken = bench.take(2, limit=3)
    assert [task.id for task in taken] == ["a", "b", "c"]
    assert [task.lease.attempt for task in taken] == [2, 2, 1]
    assert not {task.lease for task in lost} & {task.lease for task in taken}
    assert bench.counters("a") == (0, 0, 0)


def test_what_a_slot_says_it_holds_stays(bench: Bench) -> None:
    bench.attach()
    bench.add("a", "b", "c")
    first, lost = bench.take(1, limit=2)
    (taken,) = bench.take(2, holding=[first.lease])
    assert taken.id == lost.id
    assert bench.task("a").attempt == 1


def test_what_other_slots_hold_is_left_to_them(bench: Bench) -> None:
    bench.attach()
    bench.add("a", "b")
    bench.take(1, index=0)
    bench.take(1, index=1)
    assert bench.take(2, index=1, limit=0) == []
    assert (bench.state("a"), bench.state("b")) == (State.RUNNING, State.WAITING)


def test_what_goes_back_wakes_a_waiting_take(bench: Bench, sleepers: Sleepers) -> None:
    bench.attach()
    bench.add("a")
    bench.take(1, index=0)
    taker = Call(bench.take, index=1, wait=20)
    sleepers.expect()
    bench.take(2, index=0, limit=0)
    assert [task.id for task in taker.answer()] == ["a"]


def test_a_restarted_manager_asks_the_store_what_a_slot_holds(bench: Bench) -> None:
    bench.attach()
    bench.add("a", "b")
    held, _ = bench.take(40, limit=2)
    bench.restart()
    assert [task.id for task in bench.take(1, holding=[held.lease])] == ["b"]
    assert bench.task("a").attempt == 1
    assert bench.task("b").attempt == 2


def test_after_a_commit_that_failed_the_slot_s_leases_are_looked_up_again(bench: Bench) -> None:
    bench.attach()
    bench.add("a", "b")
    (held,) = bench.take(1)
    bench.store.refuse = 1
    with pytest.raises(NotCommitted):
        bench.take(2, holding=[held.lease])
    assert bench.state("b") is State.WAITING
    assert [task.id for task in bench.take(3, holding=[held.lease])] == ["b"]


def test_a_later_call_knows_what_the_one_before_it_has_just_got(bench: Bench) -> None:
    """The next call comes while the answer of the last is still on its way."""
    bench.attach()
    assert bench.take(1) == []
    bench.add("a")

    def meanwhile() -> None:
        bench.store.after = lambda: None
        (taken,) = bench.take(3)
        assert (taken.id, taken.lease.attempt) == ("a", 2)

    bench.store.after = meanwhile
    bench.take(2)


def test_a_call_that_ends_late_does_not_hide_what_the_next_one_got(bench: Bench) -> None:
    bench.attach()

    def meanwhile() -> None:
        bench.store.after = lambda: None
        bench.add("a")
        bench.assert_takes("a", call=3)

    bench.store.after = meanwhile
    assert bench.take(2) == []
    bench.assert_takes("a", call=4)
    assert bench.task("a").attempt == 2


def test_an_overtaken_call_neither_takes_nor_gives_back_what_the_later_one_got(bench: Bench) -> None:
    bench.attach()
    bench.add("a", "b")
    assert overtaken(bench, lambda: bench.take(1, wait=20), lambda: bench.assert_takes("a", call=2)) == []
    assert bench.state("a") is State.RUNNING and bench.task("a").attempt == 1
    assert bench.state("b") is State.WAITING


@pytest.mark.parametrize("looks", [0, 1])
def test_an_overtaken_call_passes_its_wake_on(bench: Bench, sleepers: Sleepers, looks: int) -> None:
    """A taker is woken, before its first look or from its sleep, and then its slot wants nothing more."""
    bench.attach()
    stays: list[Call] = []

    def wait_too() -> None:
        stays.append(Call(bench.take, index=1, wait=20))
        sleepers.expect()
        bench.add("a")  # wakes the first in line

    def want_nothing() -> None:
        if looks == 0:
            wait_too()
        assert bench.take(2, limit=0) == []

    def wake_it() -> None:
        sleepers.expect()
        wait_too()

    waker = Call(wake_it if looks == 1 else bool)
    assert overtaken(bench, lambda: bench.take(1, wait=20), want_nothing, looks) == []
    waker.answer()
    assert [task.id for task in stays[0].answer()] == ["a"]


def test_a_dead_child_s_late_call_takes_nothing(bench: Bench) -> None:
    bench.attach()
    bench.add("a")
    crash = Crash(slot=Slot("pool", 0, 3), exitcode=-9)
    late = overtaken(bench, lambda: bench.take(1, incarnation=3), lambda: bench.queue.crashed(crash))
    assert late == []
    with pytest.raises(BadRequest, match="3 is dead"):  # bytes that it sent before it died
        bench.take(2, incarnation=3, wait=20)
    assert bench.state("a") is State.WAITING
    bench.assert_takes("a", incarnation=4)


def test_a_predecessor_s_late_call_does_nothing(bench: Bench, sleepers: Sleepers) -> None:
    bench.attach()
    old = Call(bench.take, 90, incarnation=1, wait=20)
    sleepers.expect()
    assert bench.take(1, incarnation=2) == []
    assert old.answer() == []
    bench.add("a")
    with pytest.raises(BadRequest, match="1 is dead"):
        bench.take(91, incarnation=1)
    bench.assert_takes("a", call=2, incarnation=2)


def test_a_late_report_of_a_predecessor_s_death_leaves_its_successor_alone(bench: Bench) -> None:
    bench.attach()
    bench.add("a", "b")
    (taken,) = bench.take(1, incarnation=2)
    bench.queue.crashed(Crash(slot=Slot("pool", 0, 1), exitcode=1))
    assert bench.state("a") is State.RUNNING
    bench.assert_takes("b", call=2, incarnation=2, holding=[taken.lease])
