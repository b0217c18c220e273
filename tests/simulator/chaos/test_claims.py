"""Which claims to a task are double, and which ones a crash of the database explains."""

from __future__ import annotations

import pytest

from qm.simulator.chaos.claims import Claims
from qm.simulator.chaos.journal import Claimed, Crashed, Left, Started
from qm.task import State

ONE, TWO = "pool 0 0", "pool 1 0"


def claimed(attempt: int = 1, token: int = 11, slot: str = ONE, at: float = 5.0) -> Claimed:
    return Claimed("t", attempt, token, slot, at, at + 1)


def left(attempt: int, recorded: int | None, state: State = State.DONE) -> Left:
    return Left(id="t", state=state, attempt=attempt, recorded=recorded)


def wrong(
    *events: Claimed | Started, crashes: tuple[Crashed, ...] = (), end: Left | None = None
) -> list[str]:
    claims, backwards = Claims(), Claims()
    for event in events:
        claims.hear(event)
    for event in reversed(events):
        backwards.hear(event)
    assert claims == backwards
    return list(claims.wrong(crashes, end))


def test_one_claim_after_the_other_is_as_it_should_be() -> None:
    first, second = claimed(1, 11, ONE), claimed(2, 22, TWO)
    assert wrong(first, Started("t", 1), second, Started("t", 2), end=left(2, 2)) == []


def test_an_answer_may_be_given_to_its_asker_twice() -> None:
    assert wrong(claimed(), claimed(at=9.0), Started("t", 1)) == []


def test_one_lease_for_two_workers_is_double() -> None:
    assert wrong(claimed(), claimed(slot=TWO)) == ["the lease of attempt 1 was given to two workers"]


def test_one_number_for_two_leases_is_double() -> None:
    assert wrong(claimed(), claimed(token=22, slot=TWO)) == ["attempt 1 was given 2 times"]


def test_a_lease_that_is_begun_twice_is_double() -> None:
    assert wrong(claimed(), Started("t", 1), Started("t", 1)) == ["attempt 1 was begun 2 times"]


def test_a_task_whose_last_claim_never_ended_was_had_by_two() -> None:
    words = ["it was given 2 times, and only 1 of these have an end"]
    assert wrong(claimed(), claimed(2, 22, TWO), end=left(2, 1)) == words
    assert wrong(end=left(2, 1, State.RUNNING)) == []
    assert wrong(end=left(1, None)) == []


@pytest.mark.parametrize(("began", "ended"), [(5.5, 7.0), (1.0, 5.0), (10.0, 12.0)])
def test_what_a_crash_of_the_database_forgot_is_undone(began: float, ended: float) -> None:
    crash = Crashed(began, ended)
    pair = (claimed(), claimed(token=22, slot=TWO, at=9.0))
    assert wrong(*pair, Started("t", 1), Started("t", 1), crashes=(crash,)) == []
    claims = Claims()
    for event in pair:
        claims.hear(event)
    assert (claims.leases, claims.undone([crash]), claims.undone([])) == (2, 1, 0)


@pytest.mark.parametrize("crash", [Crashed(1.0, 4.9), Crashed(10.1, 12.0)])
def test_a_crash_before_or_after_explains_nothing(crash: Crashed) -> None:
    assert wrong(claimed(), claimed(token=22, at=9.0), crashes=(crash,)) == ["attempt 1 was given 2 times"]


def test_a_crash_does_not_explain_one_lease_for_two_nor_one_begun_too_often() -> None:
    crashes = (Crashed(5.5, 7.0),)
    assert len(wrong(claimed(), claimed(slot=TWO, at=8.0), crashes=crashes)) == 1
    thrice = [Started("t", 1)] * 3
    assert len(wrong(claimed(), claimed(token=22, at=8.0), *thrice, crashes=crashes)) == 1
