"""finish, fail, retry, release: how an attempt ended, as its worker says it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from qm.errors import BadRequest, NotCommitted, TooLarge
from qm.limits import IDS_MAX, PAYLOAD_MAX
from qm.messages import Fail, Finish, Release, Retry, Settlement, Verdict
from qm.policy.retention import KEEP_ENDED, KEEP_FAILED
from qm.queue.settle import settle_alone
from qm.task import Lease, State
from qm.testing.contract.samples import STRAY, new
from tests.queue.bench import Bench, Call, Sleepers

ACCEPTED, REPEATED, LOST = Verdict.ACCEPTED, Verdict.REPEATED, Verdict.LOST


def say(bench: Bench, *settlements: Settlement) -> list[Verdict]:
    """Settles all in one commit."""
    return settle_alone(bench.core, settlements)


def test_a_finished_task_is_done_with_its_output(bench: Bench) -> None:
    (lease,) = bench.leases("a")
    assert bench.queue.finish([Finish(lease, b"\x01")]) == [ACCEPTED]
    task = bench.task("a")
    assert (task.state, task.output, task.ended) == (State.DONE, b"\x01", bench.clock.now())
    assert task.expires == bench.clock.now() + KEEP_ENDED


def test_a_failed_attempt_is_tried_again_after_a_pause(bench: Bench) -> None:
    (lease,) = bench.leases("a")
    bench.nudged()
    assert bench.queue.fail([Fail(lease, b"oops")]) == [ACCEPTED]
    task = bench.task("a")
    assert (task.state, task.error, task.due) == (State.SCHEDULED, b"oops", bench.clock.now() + 10)
    assert bench.counters("a") == (1, 0, 0)
    assert bench.nudged(), "the timer does not know that the task will be due"


def test_each_pause_is_three_times_the_last_and_the_fifth_failure_is_the_end(bench: Bench) -> None:
    bench.attach()
    bench.add("a")
    pauses = []
    for call in range(1, 6):
        bench.queue.fail([Fail(bench.lease(call), b"oops")])
        pauses.append((bench.task("a").due or bench.clock.now()) - bench.clock.now())
        bench.clock.advance(pauses[-1])
        bench.queue.renew("pool")
        bench.tick()
    assert pauses == [10, 30, 90, 270, 0]
    task = bench.task("a")
    assert (task.state, task.reason, task.failures) == (State.FAILED, "failed 5 times", 5)
    assert task.expires == bench.clock.now() + KEEP_FAILED


def test_a_task_s_own_attempts_go_before_its_type_s(bench: Bench) -> None:
    bench.attach(attempts=2)
    bench.add("type", new("own", attempts=1))
    for task in bench.take(limit=2):
        bench.queue.fail([Fail(task.lease, b"")])
    assert (bench.state("type"), bench.state("own")) == (State.SCHEDULED, State.FAILED)
    assert bench.task("own").reason == "failed, one attempt was allowed"


def test_a_failure_that_is_not_retryable_is_the_end(bench: Bench) -> None:
    (lease,) = bench.leases("a")
    bench.queue.fail([Fail(lease, b"bad input", retryable=False)])
    assert (bench.state("a"), bench.task("a").reason) == (State.FAILED, "not retryable")


def test_a_retried_task_waits_at_the_tail_and_is_counted(bench: Bench) -> None:
    a, _ = bench.leases("a", "b")
    bench.add("c")
    assert bench.queue.retry([Retry(a)]) == [ACCEPTED]
    assert bench.counters("a") == (1, 0, 0)
    assert [task.id for task in bench.take(1, index=1, limit=9)] == ["c", "a"]


def test_a_retry_beyond_its_attempts_is_the_end(bench: Bench) -> None:
    (lease,) = bench.leases(new("a", attempts=1))
    bench.queue.retry([Retry(lease, b"again")])
    assert (bench.state("a"), bench.task("a").error) == (State.FAILED, b"again")


def test_a_released_task_has_its_old_place_and_is_not_counted(bench: Bench) -> None:
    a, _ = bench.leases("a", "b")
    bench.add("c")
    assert bench.queue.release([Release(a)]) == [ACCEPTED]
    assert bench.counters("a") == (0, 0, 0)
    assert [task.id for task in bench.take(1, index=1, limit=9)] == ["a", "c"]


@pytest.mark.parametrize("make", [lambda lease: Retry(lease), lambda lease: Release(lease)])
def test_a_task_that_comes_back_wakes_a_waiting_take(
    bench: Bench, sleepers: Sleepers, make: type[Retry] | type[Release]
) -> None:
    (lease,) = bench.leases("a")
    taker = Call(bench.take, index=1, wait=20)
    sleepers.expect()
    say(bench, make(lease))
    assert [task.id for task in taker.answer()] == ["a"]


def every_settlement(lease: Lease) -> Sequence[Settlement]:
    return Finish(lease, b""), Fail(lease, b""), Retry(lease), Release(lease)


@pytest.mark.parametrize("place", range(4))
def test_the_same_settlement_again_is_a_success_and_another_is_lost(bench: Bench, place: int) -> None:
    (lease,) = bench.leases("a")
    said = every_settlement(lease)[place]
    assert say(bench, said) == [ACCEPTED]
    before = bench.task("a")
    expected = [REPEATED if other is said else LOST for other in every_settlement(lease)]
    expected[place] = REPEATED
    assert [*say(bench, *every_settlement(lease))] == expected
    assert bench.task("a") == before


def test_the_result_of_an_earlier_lease_is_lost(bench: Bench) -> None:
    (old,) = bench.leases("a")
    bench.queue.release([Release(old)])
    (new_one,) = bench.take(1, index=1)
    assert say(bench, Finish(old, b"late")) == [LOST]
    forged = Lease("a", new_one.lease.attempt, 7)
    assert say(bench, Finish(forged, b"forged"), Finish(STRAY, b"")) == [LOST, LOST]
    assert bench.state("a") is State.RUNNING
    assert say(bench, Finish(new_one.lease, b"good")) == [ACCEPTED]
    assert bench.task("a").output == b"good"


def test_each_verdict_stands_where_its_settlement_stood(bench: Bench) -> None:
    a, b, c, d, e = bench.leases("a", "b", "c", "d", "e")
    bench.queue.release([Release(e)])
    verdicts = say(
        bench,
        Release(a),
        Finish(STRAY, b""),
        Finish(b, b"1"),
        Fail(c, b""),
        Release(STRAY),
        Retry(d),
        Finish(b, b"2"),
        Release(e),
        Fail(STRAY, b""),
        Retry(STRAY),
    )
    assert verdicts == [ACCEPTED, LOST, ACCEPTED, ACCEPTED, LOST, ACCEPTED, REPEATED, REPEATED, LOST, LOST]
    states = [bench.state(id_) for id_ in "abcde"]
    assert states == [State.WAITING, State.DONE, State.SCHEDULED, State.WAITING, State.WAITING]
    assert bench.task("b").output == b"1"


def test_a_lease_said_twice_in_one_call_is_counted_once(bench: Bench) -> None:
    (lease,) = bench.leases(new("a", attempts=2))
    assert say(bench, Fail(lease, b"1"), Fail(lease, b"2")) == [ACCEPTED, REPEATED]
    assert (bench.state("a"), bench.counters("a")) == (State.SCHEDULED, (1, 0, 0))
    assert bench.task("a").error == b"1"


def test_nothing_to_settle_is_no_error(bench: Bench) -> None:
    assert bench.queue.finish([]) == []


@pytest.mark.parametrize(
    "settlement",
    [
        Finish(STRAY, bytes(PAYLOAD_MAX + 1)),
        Fail(STRAY, bytes(200_000)),
        Retry(STRAY, bytes(200_000)),
    ],
)
def test_what_is_too_large_is_refused_and_nothing_of_its_batch_is_settled(
    bench: Bench, settlement: Settlement
) -> None:
    bench.attach()
    bench.add("a")
    lease = bench.lease()
    with pytest.raises(BadRequest, match="of stranger is over"):
        say(bench, Finish(lease, b""), settlement)
    assert bench.state("a") is State.RUNNING


def test_too_many_settlements_in_one_call_are_refused(bench: Bench) -> None:
    with pytest.raises(TooLarge, match="limit is 1000"):
        bench.queue.release([Release(STRAY)] * (IDS_MAX + 1))


def test_those_who_wait_hear_of_it_only_when_it_is_committed(bench: Bench, sleepers: Sleepers) -> None:
    a, b, c, d = bench.leases("a", "b", "c", "d")
    producer = Call(bench.queue.get, ["a"], 20)
    taker = Call(bench.take, index=1, wait=20)
    sleepers.expect(2)
    bench.nudged()
    said: list[Settlement] = [Finish(a, b""), Release(b), Retry(c), Fail(d, b"")]
    bench.store.refuse = 1
    with pytest.raises(NotCommitted):
        say(bench, *said)
    assert (len(bench.core.endings), len(bench.core.takers), bench.nudged()) == (1, 1, False)
    assert [bench.state(id_) for id_ in "abcd"] == [State.RUNNING] * 4
    assert bench.counters("c") == (0, 0, 0)
    assert say(bench, *said, Release(STRAY)) == [ACCEPTED] * 4 + [LOST]
    assert producer.answer().tasks[0].state is State.DONE
    assert [task.id for task in taker.answer()] == ["b"]
    assert bench.nudged()


def test_a_lost_settlement_tells_nobody(bench: Bench, sleepers: Sleepers) -> None:
    (lease,) = bench.leases("a")
    producer = Call(bench.queue.get, ["a"], 20)
    taker = Call(bench.take, index=1, wait=20)
    sleepers.expect(2)
    stale = Lease("a", lease.attempt, lease.token ^ 1)
    assert say(bench, *every_settlement(stale)) == [LOST] * 4
    assert (len(bench.core.endings), len(bench.core.takers)) == (1, 1)
    bench.queue.finish([Finish(lease, b"")])
    bench.add("b")
    assert producer.answer().tasks[0].state is State.DONE
    assert len(taker.answer()) == 1
