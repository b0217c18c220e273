"""cancel of running tasks: who is told, and what becomes of them."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from qm.errors import BadRequest, TooLarge
from qm.limits import LOG_MAX, SESSION_TERM
from qm.messages import Crash, Details, Fail, Finish, Orders, Release, Retry, Slot, Verdict
from qm.policy.retention import KEEP_ENDED
from qm.task import Lease, Outcome, State
from qm.testing.contract.samples import new
from tests.queue.bench import Bench, Call, Sleepers, a_claim

Ending = Callable[[Bench, Lease], object]


def crashed(bench: Bench, lease: Lease, outcome: Outcome = Outcome.CRASHED) -> None:
    bench.queue.crashed(
        Crash(
            slot=Slot("pool", 0, 0), exitcode=-signal.SIGKILL, current=lease, outcome=outcome, error=b"stuck"
        )
    )


def fall_silent(bench: Bench) -> None:
    bench.clock.advance(SESSION_TERM)
    bench.tick()


#: Every way in which an attempt can end without a result.
ENDINGS: dict[str, Ending] = {
    "it stops": lambda bench, at: bench.queue.fail([Fail(at, b"", True, Outcome.CANCELLED)]),
    "it fails": lambda bench, at: bench.queue.fail([Fail(at, b"oops")]),
    "it is given back": lambda bench, at: bench.queue.release([Release(at)]),
    "it wants another try": lambda bench, at: bench.queue.retry([Retry(at)]),
    "it is killed": lambda bench, at: crashed(bench, at, Outcome.CANCELLED),
    "its child dies": crashed,
    "its pool leaves": lambda bench, at: bench.queue.detach("pool"),
    "its pool falls silent": lambda bench, at: fall_silent(bench),
    "the answer with it was lost": lambda bench, at: bench.take(9),
}


def test_a_waiting_renew_is_told_at_once(bench: Bench, sleepers: Sleepers) -> None:
    (lease,) = bench.leases("a")
    renewing = Call(bench.queue.renew, "pool", 10)
    sleepers.expect()
    assert bench.queue.cancel(["a"]) == [State.RUNNING]
    assert renewing.answer() == Orders(cancel=[lease])
    assert bench.task("a").cancelling


def test_it_is_told_again_until_the_lease_is_gone(bench: Bench, sleepers: Sleepers) -> None:
    a, b = bench.leases("a", "b")
    bench.queue.cancel(["a", "b"])
    assert bench.queue.renew("pool", 10) == bench.queue.renew("pool", 10) == Orders(cancel=[a, b])
    bench.queue.fail([Fail(a, b"", True, Outcome.CANCELLED)])
    assert bench.queue.renew("pool", 10) == Orders(cancel=[b])
    bench.queue.finish([Finish(b, b"")])
    assert bench.queue.renew("pool") == Orders()
    assert sleepers.seconds == []


def test_what_the_pool_has_heard_does_not_end_its_wait(bench: Bench, sleepers: Sleepers) -> None:
    a, b = bench.leases("a", "b")
    bench.queue.cancel(["a"])
    renewing = Call(bench.queue.renew, "pool", 10, False, [a])
    sleepers.expect()
    bench.queue.cancel(["b"])
    assert renewing.answer() == Orders(cancel=[a, b])


def test_only_the_session_that_runs_it_is_told(bench: Bench) -> None:
    bench.attach("other")
    bench.leases("a")
    bench.queue.cancel(["a"])
    assert bench.queue.renew("other") == Orders()


def test_a_restarted_manager_tells_it_again(bench: Bench) -> None:
    (lease,) = bench.leases("a")
    bench.queue.cancel(["a"])
    bench.restart()
    assert bench.queue.renew("pool", 10) == Orders(cancel=[lease])


@pytest.mark.parametrize("end", ENDINGS.values(), ids=ENDINGS)
def test_however_its_attempt_ends_it_does_not_run_again(
    bench: Bench, sleepers: Sleepers, end: Ending
) -> None:
    (lease,) = bench.leases("a")
    producer = Call(bench.queue.get, ["a"], 20)
    sleepers.expect()
    bench.queue.cancel(["a"])
    end(bench, lease)
    (task,) = producer.answer().tasks
    assert (task.state, task.failures, task.reason) == (State.CANCELLED, 0, None)
    assert task.expires == bench.clock.now() + KEEP_ENDED
    assert len(bench.store.attempts("a")) == 1
    bench.attach("next")
    assert bench.take(session="next") == []


def test_others_of_the_same_batch_go_on(bench: Bench) -> None:
    a, b, c = bench.leases("a", "b", "c")
    bench.queue.cancel(["b"])
    said = bench.queue.fail([Fail(a, b"no", False), Fail(b, b"no"), Fail(c, b"no")])
    assert said == [Verdict.ACCEPTED] * 3
    assert [bench.state(id_) for id_ in "abc"] == [State.FAILED, State.CANCELLED, State.SCHEDULED]


def test_a_killed_child_s_task_that_was_over_its_time_has_failed(bench: Bench) -> None:
    current, _ = bench.leases("a", "b")
    details = Details(pid=7, exitcode=-9, log="last words")
    crash = Crash(
        slot=Slot("pool", 0, 0),
        exitcode=-9,
        current=current,
        outcome=Outcome.TIMEOUT,
        error=b"stuck",
        details=details,
    )
    bench.queue.crashed(crash)
    bench.queue.crashed(crash)
    assert (bench.counters("a"), bench.counters("b")) == ((1, 0, 0), (0, 0, 0))
    assert (bench.state("a"), bench.state("b")) == (State.SCHEDULED, State.WAITING)
    (attempt,) = bench.store.attempts("a")
    assert (attempt.outcome, attempt.error, attempt.pid) == (Outcome.TIMEOUT, b"stuck", 7)
    assert (attempt.exitcode, attempt.log) == (-9, "last words")


def test_a_child_that_died_by_itself_leaves_its_last_words(bench: Bench) -> None:
    (current,) = bench.leases("a")
    bench.queue.crashed(
        Crash(slot=Slot("pool", 0, 0), exitcode=-11, current=current, details=Details(log="help"))
    )
    (attempt,) = bench.store.attempts("a")
    assert (attempt.outcome, attempt.cause, attempt.log) == (Outcome.CRASHED, "SIGSEGV", "help")


def test_a_timeout_uses_up_attempts_as_any_failure(bench: Bench) -> None:
    (lease,) = bench.leases(new("a", attempts=1))
    bench.queue.fail([Fail(lease, b"slow", True, Outcome.TIMEOUT)])
    assert (bench.state("a"), bench.counters("a")) == (State.FAILED, (1, 0, 0))


def test_what_cannot_be_is_refused(bench: Bench) -> None:
    (lease,) = bench.leases("a")
    for outcome in (Outcome.OK, Outcome.CRASHED, Outcome.RELEASED):
        with pytest.raises(BadRequest):
            bench.queue.fail([Fail(lease, b"", True, outcome)])
    with pytest.raises(BadRequest):
        crashed(bench, lease, Outcome.OK)
    details = Details(log="x" * (LOG_MAX + 1))
    items: list[Fail | Finish] = [Fail(lease, b"", details=details), Finish(lease, b"", details)]
    for call, item in enumerate(items, 5):
        with pytest.raises(TooLarge):
            bench.queue.exchange(a_claim(call, limit=0), [item])
    assert bench.state("a") is State.RUNNING
