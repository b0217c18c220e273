"""The oracle on logs written by hand: one for each word, and the good run beside which each is wrong."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from qm.messages import Verdict
from qm.simulator.chaos import Findings, judge
from qm.simulator.chaos.journal import (
    Added,
    Adding,
    Claimed,
    Computed,
    Crashed,
    Death,
    Event,
    Fault,
    Left,
    Missing,
    Raised,
    Read,
    Refused,
    Settled,
    Started,
    Unanswered,
)
from qm.simulator.chaos.oracle import COMPLAINTS_MAX
from qm.task import State

T = "a-task"


def finish(attempt: int = 1, token: int = 11, verdict: Verdict = Verdict.ACCEPTED) -> Settled:
    return Settled("finish", T, attempt, token, verdict, ends=True)


def done(attempt: int = 1, output: str | None = "one", ended: float = 5.0) -> Left:
    return Left(id=T, state=State.DONE, attempt=attempt, ended=ended, output=output)


def ran(attempt: int = 1, output: str = "one") -> list[Event]:
    return [Started(T, attempt), Computed(T, attempt, output)]


ADDED: list[Event] = [Adding([T]), Added([T])]
READ = Read(T, State.DONE, 1, 5.0, "one")
GOOD: list[Event] = [*ADDED, *ran(), finish(), READ, done()]


def without(event: Event) -> list[Event]:
    assert event in GOOD
    return [other for other in GOOD if other != event]


def found(events: list[Event]) -> Findings:
    findings = judge(events)
    assert findings == judge(reversed(events)), "the order of the writers does not matter"
    return findings


def only(findings: Findings, word: str) -> bool:
    """Whether `word` is all that is wrong, and is counted once."""
    counts = {
        "lost": findings.lost,
        "finished twice": findings.twice,
        "claimed twice": findings.doubled,
        "unexpected": findings.unexpected,
        "parked wrongly": findings.unfounded,
        "given in vain": findings.vain,
        "still queued": findings.queued,
    }
    kinds = {complaint.partition(":")[0] for complaint in findings.complaints}
    expected = {name: int(name == word) for name in counts}
    return not findings.holds and kinds == {word} and counts == expected


def test_a_task_that_is_done_once_is_as_it_should_be() -> None:
    findings = found(GOOD)
    assert findings.holds and findings.complaints == []
    assert (findings.attempted, findings.acked, findings.done) == (1, 1, 1)
    assert str(findings) == (
        "audit: attempted 1, acked 1, lost 0, finished twice 0, unexpected 0, recovered 0, parked 0, "
        "still queued 0"
    )


def test_a_run_in_which_nothing_was_acknowledged_proves_nothing() -> None:
    assert not judge([]).holds
    assert not judge([Adding([T]), Unanswered([T], "unreachable")]).holds


@pytest.mark.parametrize(
    "events",
    [
        ADDED,
        [Adding([T]), Unanswered([T], "unreachable"), READ],
        [Adding([T]), Unanswered([T], "unreachable"), *ran(), finish()],
        [*GOOD, Missing(T)],
        [*ADDED, *ran(), finish(), Left(id=T, state=State.CANCELLED, attempt=1)],
    ],
    ids=["acknowledged", "read", "settled", "missing in between", "its result"],
)
def test_lost_is_what_was_told_and_is_not_there(events: list[Event]) -> None:
    findings = found(events)
    assert findings.lost == 1 and not findings.holds


def test_an_accepted_result_of_a_task_that_waits_is_lost() -> None:
    findings = found([*ADDED, *ran(), finish(), Left(id=T, state=State.WAITING, attempt=1)])
    assert (findings.lost, findings.queued, findings.holds) == (1, 1, False)


def test_an_accepted_failure_of_a_task_that_waits_is_lost() -> None:
    fail = Settled("fail", T, 1, 11, Verdict.ACCEPTED, ends=True)
    assert found([*ADDED, Raised(T, 1), fail, Left(id=T, state=State.WAITING, attempt=1)]).lost == 1


@pytest.mark.parametrize(
    "more",
    [
        [finish(2, 22), *ran(2, "two")],
        [finish(2, 22, Verdict.REPEATED), *ran(2, "two")],
        [finish(1, 22)],
        [Read(T, State.DONE, 1, 5.0, "another")],
        [Read(T, State.DONE, 1, 6.0, "one")],
        [Read(T, State.FAILED, 1, 5.0, None)],
    ],
    ids=["two attempts", "told as repeated", "two leases", "output", "time", "state"],
)
def test_finished_twice_is_a_second_accepted_end_or_a_result_that_changed(more: list[Event]) -> None:
    assert only(found([*GOOD, *more]), "finished twice")


def test_a_result_that_is_another_at_the_end_is_finished_twice() -> None:
    events = [*without(done()), done(ended=7.0)]
    assert only(found(events), "finished twice")


def test_an_end_accepted_under_a_stale_lease_is_finished_twice() -> None:
    events = [*ADDED, *ran(1), *ran(2, "two"), finish(1), done(2, "two")]
    assert only(found(events), "finished twice")


@pytest.mark.parametrize("verdict", [Verdict.REPEATED, Verdict.LOST])
def test_the_same_end_said_twice_is_one_and_a_refused_one_is_none(verdict: Verdict) -> None:
    lease = (1, 11) if verdict is Verdict.REPEATED else (2, 22)
    findings = found([*GOOD, finish(*lease, verdict)])
    assert findings.holds
    assert findings.verdicts == {"accepted": 1, verdict.value: 1}


def test_an_end_that_nobody_heard_of_may_count() -> None:
    assert found(without(finish())).holds, "the manager was killed after the commit, the worker with it"


def test_a_settlement_that_does_not_end_a_task_may_be_accepted_any_time() -> None:
    released = Settled("release", T, 1, 10, Verdict.ACCEPTED)
    retried = Settled("fail", T, 2, 20, Verdict.ACCEPTED, ends=False)
    assert found([*ADDED, released, retried, *ran(3, "x"), finish(3, 33), done(3, "x")]).holds


@pytest.mark.parametrize(
    "events",
    [
        [*GOOD, Left(id="stranger", state=State.WAITING, attempt=0)],
        [Adding([T]), Refused([T], "bad_request"), *ran(), finish(), done()],
        [*without(done()), done(output="nobody made this")],
        [*ADDED, *ran(), done(attempt=2)],
        [*ADDED, Left(id=T, state=State.CANCELLED, attempt=0)],
    ],
    ids=["stranger", "refused", "result", "of another attempt", "cancelled"],
)
def test_unexpected_is_what_nobody_made(events: list[Event]) -> None:
    findings = found(events)
    assert findings.unexpected == 1 and not findings.holds


def test_recovered_is_an_add_without_an_answer_that_is_there() -> None:
    events = [Adding([T]), Unanswered([T], "unreachable"), *ran(), finish(), done()]
    findings = found([*events, Adding(["b"]), Added(["b"]), Started("b", 1), *_good("b")])
    assert findings.holds and findings.recovered == 1
    assert findings.errors == {"unreachable": 1}


def test_an_add_without_an_answer_that_is_not_there_is_nothing() -> None:
    findings = found([*GOOD, Adding(["b"]), Unanswered(["b"], "unreachable")])
    assert findings.holds and (findings.attempted, findings.recovered) == (2, 0)


def test_an_add_that_is_acknowledged_at_the_second_time_is_acknowledged() -> None:
    events = [Adding([T]), Unanswered([T], "unreachable"), *GOOD]
    findings = found(events)
    assert findings.holds and (findings.attempted, findings.acked, findings.recovered) == (1, 1, 0)


def test_parked_is_legal_after_three_recorded_strikes() -> None:
    parked = Left(id=T, state=State.FAILED, attempt=3, reason="crashed 3 times: SIGKILL", strikes=3)
    findings = found([*ADDED, parked])
    assert findings.holds and findings.parked == 1


def test_parked_with_fewer_strikes_is_wrong() -> None:
    parked = Left(id=T, state=State.FAILED, attempt=3, reason="crashed 3 times: SIGKILL", strikes=2)
    findings = found([*ADDED, parked])
    assert only(findings, "parked wrongly") and findings.parked == 1
    assert "crashed 3 times: SIGKILL, with 2 recorded strikes" in findings.complaints[0]


def test_a_task_that_fails_as_its_producer_wants_is_not_parked() -> None:
    fail = Settled("fail", T, 1, 11, Verdict.ACCEPTED, ends=True)
    failed = Left(id=T, state=State.FAILED, attempt=1, ended=5.0)
    findings = found([*ADDED, Started(T, 1), Raised(T, 1), fail, failed])
    assert findings.holds and (findings.failed, findings.parked) == (1, 0)


@pytest.mark.parametrize("state", [State.WAITING, State.SCHEDULED, State.BLOCKED, State.RUNNING])
def test_what_has_not_ended_is_still_queued(state: State) -> None:
    assert only(found([*ADDED, Left(id=T, state=state, attempt=1)]), "still queued")


def test_a_task_that_is_taken_again_and_again_was_given_in_vain() -> None:
    """Nothing is lost by it, and nothing done."""
    again = [*ADDED, *ran(101), finish(101), done(101)]
    assert only(found(again), "given in vain")
    assert found([*ADDED, *ran(100), finish(100), done(100)]).holds


def claimed(attempt: int = 1, token: int = 11, slot: str = "pool 0 0", at: float = 1.0) -> Claimed:
    return Claimed(T, attempt, token, slot, at, at + 0.1)


def test_claims_are_counted() -> None:
    findings = found([*GOOD, claimed()])
    assert findings.holds and (findings.claims, findings.doubled, findings.undone) == (1, 0, 0)


@pytest.mark.parametrize(
    "events",
    [
        [*GOOD, claimed(), claimed(slot="pool 1 0")],
        [*GOOD, claimed(), claimed(token=22, slot="pool 1 0")],
        [*GOOD, claimed(), Started(T, 1)],
        [*ADDED, *ran(), *ran(2, "two"), finish(2), replace(done(2, "two"), recorded=1)],
    ],
    ids=["one lease for two", "one attempt for two", "begun twice", "no end of the first"],
)
def test_claimed_twice_is_what_two_workers_had_at_once(events: list[Event]) -> None:
    assert only(found(events), "claimed twice")


def test_what_a_crash_of_the_database_forgot_is_counted_and_no_fault() -> None:
    findings = found([*GOOD, claimed(), Crashed(1.05, 2.0), claimed(token=22, slot="pool 1 0", at=3.0)])
    assert findings.holds and (findings.claims, findings.undone) == (2, 1)


def test_to_be_begun_again_is_no_fault() -> None:
    findings = found([*ADDED, Started(T, 1), *ran(2, "two"), finish(2, 22), done(2, "two")])
    assert findings.holds and findings.repeated == 1


def test_a_process_that_ends_unasked_fails_the_run() -> None:
    findings = found([*GOOD, Death("manager", 1), Death("manager", 1), Fault("manager killed")])
    assert not findings.holds
    assert findings.complaints == ["died by itself: manager with exit code 1, 2 times"]
    assert findings.faults == {"manager killed": 1}


def test_all_are_counted_and_the_first_are_told() -> None:
    ids = [f"t{number}" for number in range(3 * COMPLAINTS_MAX)]
    findings = found([Adding(ids), Added(ids)])
    assert findings.lost == len(ids)
    assert len(findings.complaints) == COMPLAINTS_MAX


def _good(id_: str) -> list[Event]:
    settled = Settled("finish", id_, 1, 5, Verdict.ACCEPTED, ends=True)
    left = Left(id=id_, state=State.DONE, attempt=1, ended=1.0, output="x")
    return [Computed(id_, 1, "x"), settled, left]
