"""When a failed attempt is followed by another."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qm.policy.decision import Again, Bury, Cancel
from qm.policy.retry import ATTEMPTS, JITTER, LONGEST_PAUSE, after_failure, after_retry, pause

NOW = 1_700_000_000.0

#: Numbers in [0, 1), as `random.random` gives them.
fractions = st.floats(0, 1, exclude_max=True)


def middle() -> float:
    """A draw that adds no jitter."""
    return 0.5


def never() -> float:
    raise AssertionError("nothing is to be drawn here")


@pytest.mark.parametrize(
    ("failures", "seconds"),
    [(1, 10.0), (2, 30.0), (3, 90.0), (4, 270.0), (5, 810.0), (6, 2430.0), (7, 3600.0), (8, 3600.0)],
)
def test_pauses_grow_threefold_up_to_an_hour(failures: int, seconds: float) -> None:
    assert pause(failures, middle) == seconds


@given(st.integers(1, 10**9), fractions)
def test_a_pause_is_never_more_than_a_quarter_off(failures: int, fraction: float) -> None:
    plain = pause(failures, middle)
    assert plain * (1 - JITTER) <= pause(failures, lambda: fraction) <= plain * (1 + JITTER)
    assert 10.0 <= plain <= LONGEST_PAUSE


@given(st.integers(1, 100), fractions)
def test_pauses_never_shrink_with_more_failures(failures: int, fraction: float) -> None:
    assert pause(failures, lambda: fraction) <= pause(failures + 1, lambda: fraction)


def test_tasks_that_failed_together_do_not_come_back_together() -> None:
    draw = random.Random(1).random
    assert len({pause(1, draw) for _ in range(100)}) == 100


def test_a_failed_task_runs_again_after_its_pause() -> None:
    assert after_failure(1, None, True, NOW, middle) == Again(NOW + 10)
    assert after_failure(3, 9, True, NOW, middle) == Again(NOW + 90)


def test_five_failures_are_allowed_unless_the_task_says_otherwise() -> None:
    assert ATTEMPTS == 5
    assert isinstance(after_failure(4, None, True, NOW, middle), Again)
    assert after_failure(5, None, True, NOW, never) == Bury("failed 5 times")


@given(st.integers(1, 1000), st.none() | st.integers(1, 1000), fractions)
def test_a_task_is_tried_as_often_as_it_may_fail_and_no_more(
    failures: int, attempts: int | None, fraction: float
) -> None:
    allowed = ATTEMPTS if attempts is None else attempts
    failed = after_failure(failures, attempts, True, NOW, lambda: fraction)
    given_back = after_retry(failures, attempts, NOW)
    assert isinstance(failed, Bury) is isinstance(given_back, Bury) is (failures >= allowed)
    if isinstance(failed, Again):
        assert failed.at > NOW


def test_the_reason_speaks_of_one_attempt_in_the_singular() -> None:
    assert after_failure(1, 1, True, NOW, never) == Bury("failed, one attempt was allowed")
    assert after_retry(1, 1, NOW) == Bury("given back, one attempt was allowed")
    assert after_failure(2, 2, True, NOW, never) == Bury("failed 2 times")
    assert after_retry(2, 2, NOW) == Bury("given back 2 times")


def test_what_can_never_succeed_is_not_tried_again() -> None:
    assert after_failure(1, None, False, NOW, never) == Bury("not retryable")


def test_a_task_given_back_runs_again_at_once() -> None:
    assert after_retry(4, None, NOW) == Again(NOW)


def test_a_task_given_back_too_often_has_failed() -> None:
    assert after_retry(5, None, NOW) == Bury("given back 5 times")


@given(st.integers(1, 20), st.booleans())
def test_a_cancelled_task_has_no_other_attempt_and_is_no_dead_letter(failures: int, retryable: bool) -> None:
    assert after_failure(failures, 5, retryable, 0.0, lambda: 0.5, cancelling=True) == Cancel()
    assert after_retry(failures, 5, 0.0, cancelling=True) == Cancel()
