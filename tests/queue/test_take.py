"""take: tasks go to a worker, once each, and to nobody who is not there any more."""

from __future__ import annotations

import pytest

from qm.errors import NotCommitted, SessionLost
from qm.limits import TAKE_MAX, WAIT_MAX
from qm.messages import Crash, Slot
from qm.task import State
from qm.testing.contract.samples import new
from tests.queue.bench import Bench, Call, Line, Sleepers, a_claim, overtaken


def test_a_take_leases_the_next_tasks_of_its_types(bench: Bench) -> None:
    bench.attach()
    bench.add("a", new("b", "sms"), new("c", "fax"), new("d", priority=1))
    taken = bench.take(limit=9)
    assert [task.id for task in taken] == ["d", "a", "b"]
    assert (bench.state("a"), bench.task("a").worker) == (State.RUNNING, "alpha:4711")
    assert bench.task("a").attempt == taken[1].lease.attempt == 1


def test_a_take_gives_no_more_than_its_limit_and_the_bound(bench: Bench) -> None:
    bench.attach()
    for start in range(0, 300, 100):
        bench.add(*(f"t{n:03}" for n in range(start, start + 100)))
    assert len(bench.take(1, limit=2)) == 2
    assert len(bench.take(1, index=1, limit=10_000)) == TAKE_MAX


@pytest.mark.parametrize("claim", [{"limit": 0}, {"limit": -1}, {"types": []}])
def test_a_take_that_can_get_nothing_does_not_wait(
    bench: Bench, sleepers: Sleepers, claim: dict[str, int]
) -> None:
    bench.attach()
    bench.add("a")
    assert bench.take(wait=20, **claim) == []
    assert sleepers.seconds == []


def test_a_take_of_an_unknown_session_is_refused(bench: Bench) -> None:
    bench.add("a")
    with pytest.raises(SessionLost):
        bench.take(wait=20)
    assert bench.state("a") is State.WAITING


def test_an_add_wakes_a_waiting_take(bench: Bench, sleepers: Sleepers) -> None:
    bench.attach()
    taker = Call(bench.take, wait=20)
    sleepers.expect()
    bench.add("a")
    assert [task.id for task in taker.answer()] == ["a"]
    assert sleepers.seconds == [20]


def test_a_waiting_take_ends_with_nothing_when_its_time_is_over(bench: Bench, sleepers: Sleepers) -> None:
    bench.attach()
    sleepers.run_out = bench.clock.advance
    assert bench.take(wait=12) == []
    assert bench.clock.monotonic() == 12


def test_a_wait_is_bounded(bench: Bench, sleepers: Sleepers) -> None:
    bench.attach()
    sleepers.run_out = bench.clock.advance
    bench.take(wait=1e9)
    assert sleepers.seconds == [WAIT_MAX]


def test_a_take_woken_for_nothing_sleeps_only_for_the_rest_of_its_time(
    bench: Bench, sleepers: Sleepers
) -> None:
    bench.attach()
    taker = Call(bench.take, wait=20)
    sleepers.expect()
    bench.clock.advance(5)
    bench.core.takers.wake("mail", 1)  # somebody else has the task already
    sleepers.expect()
    assert sleepers.seconds == [20, 15]
    bench.add("a")
    assert len(taker.answer()) == 1


def test_one_task_wakes_the_taker_who_has_waited_longest(bench: Bench, sleepers: Sleepers) -> None:
    bench.attach()
    takers = []
    for index in range(3):
        takers.append(Call(bench.take, index=index, wait=20))
        sleepers.expect()
    for taker, id_ in zip(takers, "abc", strict=True):
        bench.add(id_)
        assert [task.id for task in taker.answer()] == [id_]
    assert len(sleepers.seconds) == 3, "somebody was woken for nothing"


def test_as_many_takers_are_woken_as_there_are_tasks(bench: Bench, sleepers: Sleepers) -> None:
    bench.attach()
    takers = [Call(bench.take, index=index, wait=20) for index in range(3)]
    sleepers.expect(3)
    bench.add("a", "b", new("s", "sms"))
    assert sorted(taker.answer()[0].id for taker in takers) == ["a", "b", "s"]


def test_a_taker_who_hung_up_gets_nothing_and_the_next_is_woken(bench: Bench, sleepers: Sleepers) -> None:
    bench.attach()
    line = Line()
    gone = Call(bench.queue.take, a_claim(index=0), 20, line)
    sleepers.expect()
    stays = Call(bench.take, index=1, wait=20)
    sleepers.expect()
    line.cut(quietly=True)
    bench.add("a")
    assert gone.answer() == []
    assert [task.id for task in stays.answer()] == ["a"]
    assert line.watching == 0


def test_a_taker_who_hangs_up_ends_its_wait(bench: Bench, sleepers: Sleepers) -> None:
    bench.attach()
    line = Line()
    gone = Call(bench.queue.take, a_claim(), 20, line)
    sleepers.expect()
    line.cut()
    assert gone.answer() == []
    bench.add("a")
    assert bench.state("a") is State.WAITING


def test_a_wake_whose_commit_fails_goes_to_the_next(bench: Bench, sleepers: Sleepers) -> None:
    bench.attach()
    first = Call(bench.take, index=0, wait=20)
    sleepers.expect()
    second = Call(bench.take, index=1, wait=20)
    sleepers.expect()
    bench.store.after = lambda: setattr(bench.store, "refuse", 1)  # the next commit: the first taker's
    bench.add("a")
    with pytest.raises(NotCommitted):
        first.answer()
    assert [task.id for task in second.answer()] == ["a"]


def test_a_wake_for_a_type_that_it_did_not_get_goes_to_the_next(bench: Bench, sleepers: Sleepers) -> None:
    bench.attach()
    both = Call(bench.take, index=0, types=["mail", "sms"], wait=20)
    sleepers.expect()
    sms = Call(bench.take, index=1, types=["sms"], wait=20)
    sleepers.expect()
    # one commit, of which the taker hears for the type sms, while the mail before it is waiting too
    bench.store.add([new("m"), new("s", "sms")], bench.clock.now())
    bench.core.takers.wake("sms", 1)
    assert [task.id for task in both.answer()] == ["m"]
    assert [task.id for task in sms.answer()] == ["s"]


def test_a_wake_that_comes_after_the_look_goes_to_the_next(bench: Bench, sleepers: Sleepers) -> None:
    """The first taker has its task already when the second task's wake reaches it."""
    bench.attach()
    bench.add("a")
    second: list[Call] = []

    def between_look_and_leave() -> None:
        bench.store.after = lambda: None
        second.append(Call(bench.take, index=1, wait=20))
        sleepers.expect()
        bench.add("b")  # wakes the first taker, who is still in line

    bench.store.after = between_look_and_leave
    assert [task.id for task in bench.take(index=0, wait=20)] == ["a"]
    assert [task.id for task in second[0].answer()] == ["b"]


def test_a_take_of_a_leaving_session_neither_gets_nor_waits(bench: Bench, sleepers: Sleepers) -> None:
    bench.attach()
    bench.add("a")
    bench.queue.renew("pool", draining=True)
    assert bench.take(wait=20) == []
    assert sleepers.seconds == []
    assert bench.state("a") is State.WAITING


@pytest.mark.parametrize("end", ["leaving", "detached", "silent", "child dead", "manager stops"])
def test_a_waiting_take_ends_when_its_worker_goes(bench: Bench, sleepers: Sleepers, end: str) -> None:
    bench.attach()
    taker = Call(bench.take, wait=20)
    sleepers.expect()
    if end == "leaving":
        bench.queue.renew("pool", draining=True)
    elif end == "detached":
        bench.queue.detach("pool")
    elif end == "silent":
        bench.clock.advance(31)
        bench.tick()
    elif end == "child dead":
        bench.queue.crashed(Crash(slot=Slot("pool", 0, 0), exitcode=1))
    else:
        bench.queue.drain()
    assert taker.answer() == []


def test_a_session_that_ends_in_the_middle_of_a_take_takes_nothing_with_it(bench: Bench) -> None:
    bench.attach()
    bench.add("a")
    assert overtaken(bench, lambda: bench.take(wait=20), lambda: bench.queue.detach("pool")) == []
    assert bench.state("a") is State.WAITING
