"""attach, renew, detach, crashed: the pools, and what becomes of their tasks when they go."""

from __future__ import annotations

import signal
import threading
from functools import partial

import pytest

from qm.errors import BadRequest, Draining, NotCommitted, SessionLost
from qm.limits import SESSION_TERM, SUSPECT_TERM
from qm.messages import Attached, Crash, Finish, Orders, Slot, TypeOptions, Verdict, WorkerInfo
from qm.policy.strikes import STRIKES
from qm.task import Lease, State
from qm.testing.contract.samples import new
from tests.queue.bench import Bench, Call, Line, Sleepers


def crash(bench: Bench, current: Lease | None, exitcode: int = -signal.SIGSEGV, index: int = 0) -> None:
    """The pool reports the death of a child."""
    slot = Slot("pool", index, 0)
    bench.queue.crashed(Crash(slot=slot, exitcode=exitcode, current=current))


def fall_silent(bench: Bench) -> None:
    """A term goes by without a word of any pool."""
    bench.clock.advance(SESSION_TERM)
    bench.tick()


def sessions(bench: Bench) -> list[str]:
    return [worker.session for worker in bench.queue.status().workers]


def test_attach_opens_a_session(bench: Bench) -> None:
    info = bench.attach("pool", ["sms", "mail"])
    assert bench.queue.attach(info) == Attached(SESSION_TERM)
    (worker,) = bench.queue.status().workers
    assert (worker.name, worker.types, worker.since) == ("alpha:4711", ["mail", "sms"], bench.clock.now())
    assert [info.session for info in bench.store.sessions()] == ["pool"]


@pytest.mark.parametrize(("session", "type_"), [("", "mail"), ("a b", "mail"), ("pool", ""), ("pool", "a/b")])
def test_attach_refuses_what_cannot_be_a_session_or_a_type(bench: Bench, session: str, type_: str) -> None:
    with pytest.raises(BadRequest, match="cannot be a"):
        bench.attach(session, [type_])
    assert sessions(bench) == []


@pytest.mark.parametrize("processes", [0, -1, 100_001, 2**63])
def test_attach_refuses_a_number_of_processes_that_cannot_be(bench: Bench, processes: int) -> None:
    """A status sums them up."""
    with pytest.raises(BadRequest, match="processes cannot be"):
        bench.queue.attach(WorkerInfo(session="s", host="h", pid=1, processes=processes, types={}))
    assert bench.queue.status().workers == []


def test_attach_says_what_its_types_want_unless_a_task_says_otherwise(bench: Bench) -> None:
    bench.attach(timeout=5.0, keep=7.0)
    bench.add("a", new("b", timeout=9.0, keep=11.0))
    taken = bench.take(limit=2)
    assert [task.timeout for task in taken] == [5.0, 9.0]
    bench.queue.finish([Finish(task.lease, b"") for task in taken])
    expire = [(bench.task(id_).expires or 0) - bench.clock.now() for id_ in "ab"]
    assert expire == [7.0, 11.0]


def test_a_stopping_queue_opens_no_session(bench: Bench) -> None:
    bench.core.drain()
    with pytest.raises(Draining):
        bench.attach()


def test_renew_of_an_unknown_session_is_refused(bench: Bench) -> None:
    with pytest.raises(SessionLost):
        bench.queue.renew("pool", 10)


def test_a_renewed_session_lives_for_another_term(bench: Bench) -> None:
    (lease,) = bench.leases("a")
    for _ in range(5):
        bench.clock.advance(SESSION_TERM - 1)
        bench.tick()
        assert bench.queue.renew("pool") == Orders()
    assert bench.queue.finish([Finish(lease, b"")]) == [Verdict.ACCEPTED]


def test_renew_waits_for_a_third_of_the_term_at_most(bench: Bench, sleepers: Sleepers) -> None:
    bench.attach()
    sleepers.run_out = bench.clock.advance
    assert bench.queue.renew("pool", 4) == Orders()
    bench.queue.renew("pool", 1e9)
    assert sleepers.seconds == [4, SESSION_TERM / 3]


def test_a_second_renew_ends_the_first(bench: Bench, sleepers: Sleepers) -> None:
    bench.attach()
    first = Call(bench.queue.renew, "pool", 10)
    sleepers.expect()
    second = Call(bench.queue.renew, "pool", 10)
    assert first.answer() == Orders()
    sleepers.expect()
    bench.queue.detach("pool")
    assert second.answer() == Orders()


@pytest.mark.parametrize("days", [10, -10])
def test_a_wall_clock_that_jumps_ends_no_session(bench: Bench, days: int) -> None:
    (lease,) = bench.leases("a")
    bench.clock.advance(SESSION_TERM - 1)
    bench.clock.jump(days * 86400)
    bench.tick()
    assert bench.state("a") is State.RUNNING
    bench.queue.renew("pool")
    bench.clock.jump(-2 * days * 86400)
    bench.clock.advance(SESSION_TERM - 1)
    bench.tick()
    assert bench.queue.finish([Finish(lease, b"")]) == [Verdict.ACCEPTED]


def test_a_pool_whose_connection_is_lost_has_a_moment_to_redial(bench: Bench, sleepers: Sleepers) -> None:
    (lease,) = bench.leases("a")
    line = Line()
    lost = Call(partial(bench.queue.renew, "pool", 10, caller=line))
    sleepers.expect()
    line.cut()
    lost.answer()
    bench.clock.advance(SUSPECT_TERM - 0.1)
    bench.tick()
    assert bench.queue.renew("pool") == Orders()  # it is back
    bench.clock.advance(SESSION_TERM - 0.1)
    bench.tick()
    assert bench.queue.finish([Finish(lease, b"")]) == [Verdict.ACCEPTED]


def test_a_pool_that_does_not_redial_loses_its_tasks_in_a_moment(bench: Bench, sleepers: Sleepers) -> None:
    bench.leases("a")
    line = Line()
    lost = Call(partial(bench.queue.renew, "pool", 10, caller=line))
    sleepers.expect()
    line.cut()
    lost.answer()
    bench.tick()
    assert bench.state("a") is State.RUNNING
    bench.clock.advance(SUSPECT_TERM)
    bench.tick()
    assert (bench.state("a"), bench.task("a").lost) == (State.WAITING, 1)


def test_a_connection_that_was_replaced_before_it_was_lost_means_nothing(
    bench: Bench, sleepers: Sleepers
) -> None:
    bench.leases("a")
    line = Line()
    first = Call(partial(bench.queue.renew, "pool", 10, caller=line))
    sleepers.expect()
    second = Call(bench.queue.renew, "pool", 10)
    sleepers.expect()
    line.cut()
    first.answer()
    bench.clock.advance(SUSPECT_TERM)
    bench.tick()
    assert bench.state("a") is State.RUNNING
    bench.queue.detach("pool")
    second.answer()


def test_renew_writes_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.attach()
    begun: list[object] = []
    monkeypatch.setattr(bench.store, "begin", lambda **options: begun.append(options))
    bench.queue.renew("pool")
    assert begun == []


def test_a_leaving_pool_does_not_wait_and_serves_no_type_any_more(bench: Bench, sleepers: Sleepers) -> None:
    bench.attach()
    bench.add("a")
    assert bench.queue.status().unserved == []
    bench.queue.renew("pool", 10, draining=True)
    assert sleepers.seconds == []
    assert bench.queue.status().unserved == ["mail"]


def test_a_pool_that_says_good_bye_gives_its_tasks_back_uncounted(bench: Bench, sleepers: Sleepers) -> None:
    bench.attach("other")
    bench.leases("a", "b")
    taker = Call(bench.take, session="other", wait=20)
    sleepers.expect()
    bench.queue.detach("pool")
    assert [task.id for task in taker.answer()] == ["a"]
    assert (bench.state("b"), bench.counters("b")) == (State.WAITING, (0, 0, 0))
    assert (sessions(bench), [info.session for info in bench.store.sessions()]) == (["other"], ["other"])
    bench.queue.detach("pool")
    with pytest.raises(SessionLost):
        bench.take(9)


def test_the_death_of_a_child_charges_the_task_it_ran_and_no_other(bench: Bench, sleepers: Sleepers) -> None:
    current, _ = bench.leases("a", "b")
    bench.add("c")
    bench.lease(index=1)
    taker = Call(bench.take, index=2, wait=20)
    sleepers.expect()
    crash(bench, current)
    assert [task.id for task in taker.answer()] == ["a"]
    assert (bench.counters("a"), bench.counters("b")) == ((0, 1, 0), (0, 0, 0))
    assert bench.state("b") is State.WAITING
    assert bench.state("c") is State.RUNNING


def test_a_death_reported_twice_is_counted_once(bench: Bench) -> None:
    (lease,) = bench.leases("a")
    crash(bench, lease)
    crash(bench, lease)
    assert bench.counters("a") == (0, 1, 0)


def test_a_late_report_does_not_charge_a_task_that_has_been_settled(bench: Bench) -> None:
    a, _ = bench.leases("a", "b")
    bench.queue.finish([Finish(a, b"")])
    crash(bench, a)
    assert (bench.state("a"), bench.state("b")) == (State.DONE, State.WAITING)
    assert (bench.counters("a"), bench.counters("b")) == ((0, 0, 0), (0, 0, 0))


def test_a_child_that_died_idle_charges_nothing(bench: Bench) -> None:
    bench.leases("a")
    crash(bench, None, exitcode=3)
    assert (bench.state("a"), bench.counters("a")) == (State.WAITING, (0, 0, 0))


def test_a_third_crash_parks_the_task_with_the_reason(bench: Bench, sleepers: Sleepers) -> None:
    bench.attach()
    bench.add("a")
    producer = Call(bench.queue.get, ["a"], 20)
    sleepers.expect()
    for index in range(STRIKES):
        assert bench.state("a") is State.WAITING
        crash(bench, bench.lease(index=index), index=index)
    (task,) = producer.answer().tasks
    assert (task.state, task.reason) == (State.FAILED, "crashed 3 times: SIGSEGV")


def test_crashes_and_losses_are_counted_together(bench: Bench) -> None:
    (lease,) = bench.leases("a")
    crash(bench, lease)
    for _ in range(2):
        bench.attach()
        bench.lease(index=1)
        fall_silent(bench)
    assert (bench.state("a"), bench.task("a").reason) == (State.FAILED, "lost its worker 3 times")
    assert bench.counters("a") == (0, 1, 2)


def test_a_silent_pool_loses_its_tasks_to_others(bench: Bench, sleepers: Sleepers) -> None:
    leases = bench.leases("a", "b")
    bench.clock.advance(SESSION_TERM - 0.1)
    bench.attach("other")
    taker = Call(bench.take, session="other", wait=20)
    sleepers.expect()
    bench.tick()
    assert (sessions(bench), bench.state("a")) == (["pool", "other"], State.RUNNING)
    bench.clock.advance(0.1)
    bench.tick()
    assert [task.id for task in taker.answer()] == ["a"]
    assert (bench.counters("a"), bench.counters("b")) == ((0, 0, 1), (0, 0, 1))
    assert [info.session for info in bench.store.sessions()] == sessions(bench) == ["other"]
    assert bench.queue.finish([Finish(lease, b"") for lease in leases]) == [Verdict.LOST] * 2
    with pytest.raises(SessionLost):
        bench.queue.renew("pool")


def test_only_the_monotonic_clock_judges_a_session(bench: Bench) -> None:
    bench.leases("a")
    bench.clock.jump(30 * 86400)
    bench.tick()
    bench.clock.jump(-60 * 86400)
    bench.tick()
    assert bench.state("a") is State.RUNNING


def test_a_session_that_was_lost_can_be_opened_again(bench: Bench) -> None:
    bench.leases("a")
    fall_silent(bench)
    bench.attach()
    assert [task.id for task in bench.take(1)] == ["a"]


def test_a_restarted_manager_gives_known_pools_a_fresh_term(bench: Bench) -> None:
    (lease,) = bench.leases("a")
    bench.clock.advance(SESSION_TERM - 1)
    bench.restart()
    assert sessions(bench) == ["pool"]
    bench.clock.advance(SESSION_TERM - 1)
    bench.tick()
    assert bench.queue.renew("pool") == Orders()
    assert bench.queue.finish([Finish(lease, b"")]) == [Verdict.ACCEPTED]


def test_a_pool_that_does_not_come_back_after_a_restart_loses_its_tasks(bench: Bench) -> None:
    bench.leases("a")
    bench.restart()
    fall_silent(bench)
    assert (bench.state("a"), bench.counters("a")) == (State.WAITING, (0, 0, 1))
    assert bench.store.sessions() == []


def test_a_pool_that_attaches_again_keeps_its_tasks_and_its_call_numbers(bench: Bench) -> None:
    (lease,) = bench.leases("a")
    bench.attach("pool", ["fax"])
    assert (bench.state("a"), sessions(bench)) == (State.RUNNING, ["pool"])
    assert bench.queue.status().workers[0].types == ["fax"]
    bench.add("b")
    assert bench.take(1, holding=[lease]) == []
    assert [task.id for task in bench.take(2, holding=[lease])] == ["b"]


@pytest.mark.parametrize("end", ["silent", "detached"])
def test_when_the_end_of_a_session_is_not_committed_it_is_tried_again(bench: Bench, end: str) -> None:
    """Or its tasks would run for ever: by nobody."""
    bench.leases("a")
    bench.store.refuse = 1
    with pytest.raises(NotCommitted):
        fall_silent(bench) if end == "silent" else bench.queue.detach("pool")
    assert bench.state("a") is State.RUNNING
    assert sessions(bench) == []
    with pytest.raises(SessionLost):
        bench.take(5)
    fall_silent(bench)
    assert bench.state("a") is State.WAITING
    assert bench.store.sessions() == []


def test_one_session_whose_end_is_not_committed_does_not_hide_another(bench: Bench) -> None:
    bench.leases("a", "b")
    bench.attach("second")
    bench.add("c")
    bench.take(session="second")
    bench.store.refuse = 2
    for _ in range(2):
        with pytest.raises(NotCommitted):
            fall_silent(bench)
    fall_silent(bench)
    assert [bench.state(id_) for id_ in "abc"] == [State.WAITING] * 3


@pytest.mark.parametrize("end", ["silent", "detached"])
def test_a_pool_that_attaches_while_it_is_being_ended_is_not_forgotten(bench: Bench, end: str) -> None:
    """The store must know every session that holds tasks, or after a restart nobody takes them back."""
    bench.leases("a")

    def attach() -> None:
        bench.store.before = lambda: None
        other = threading.Thread(target=bench.attach)
        other.start()
        other.join()

    bench.store.before = attach
    fall_silent(bench) if end == "silent" else bench.queue.detach("pool")
    assert sessions(bench) == [info.session for info in bench.store.sessions()] == ["pool"]
    bench.add("b")
    assert len(bench.take(1, limit=2)) == 2
    bench.restart()
    fall_silent(bench)
    assert [bench.state(id_) for id_ in "ab"] == [State.WAITING] * 2


def test_a_pool_that_attaches_just_before_its_term_is_over_keeps_its_tasks(bench: Bench) -> None:
    bench.leases("a")
    bench.clock.advance(SESSION_TERM)

    def judge() -> None:
        bench.store.after = lambda: None
        bench.tick()

    bench.store.after = judge
    bench.attach()
    assert sessions(bench) == [info.session for info in bench.store.sessions()] == ["pool"]
    assert bench.state("a") is State.RUNNING


def test_a_session_attached_right_after_its_end_is_not_forgotten(bench: Bench) -> None:
    bench.leases("a")

    def attach() -> None:
        bench.store.after = lambda: None
        bench.attach()

    bench.store.after = attach
    bench.queue.detach("pool")
    assert sessions(bench) == [info.session for info in bench.store.sessions()] == ["pool"]
    assert [task.id for task in bench.take(1)] == ["a"]


def test_an_attach_that_is_not_committed_can_be_said_again(bench: Bench) -> None:
    bench.store.refuse = 1
    with pytest.raises(NotCommitted):
        bench.attach()
    info = WorkerInfo(session="pool", host="beta", pid=1, processes=1, types={"mail": TypeOptions()})
    bench.queue.attach(info)
    assert bench.queue.status().workers[0].name == "beta:1"
    assert bench.store.sessions() == [info]


def test_a_report_that_is_not_committed_can_be_said_again(bench: Bench, sleepers: Sleepers) -> None:
    (lease,) = bench.leases("a")
    taker = Call(bench.take, index=1, wait=20)
    sleepers.expect()
    bench.store.refuse = 1
    with pytest.raises(NotCommitted):
        crash(bench, lease)
    assert (bench.state("a"), bench.counters("a")) == (State.RUNNING, (0, 0, 0))
    assert len(bench.core.takers) == 1
    crash(bench, lease)
    assert [task.id for task in taker.answer()] == ["a"]
