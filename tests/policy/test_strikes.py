"""When a task that takes its workers with it is parked."""

from __future__ import annotations

import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qm.policy.decision import Back, Bury, Cancel
from qm.policy.strikes import STRIKES, after_death, after_release, cause_of
from qm.task import Outcome


@pytest.mark.parametrize("outcome", [Outcome.CRASHED, Outcome.LOST])
def test_two_deaths_are_forgiven(outcome: Outcome) -> None:
    for crashes, lost in ((1, 0), (0, 1), (1, 1), (2, 0), (0, 2)):
        assert after_death(crashes, lost, outcome, "SIGSEGV") == Back()


def test_a_third_crash_parks_the_task() -> None:
    assert after_death(3, 0, Outcome.CRASHED, "SIGSEGV") == Bury("crashed 3 times: SIGSEGV")


def test_a_third_lost_session_parks_the_task() -> None:
    assert after_death(0, 3, Outcome.LOST, "its session ended") == Bury("lost its worker 3 times")


def test_crashes_and_lost_sessions_count_together() -> None:
    assert after_death(2, 1, Outcome.CRASHED, "SIGKILL") == Bury("lost its worker 3 times: SIGKILL")
    assert after_death(2, 1, Outcome.LOST, "gone") == Bury("lost its worker 3 times")


@given(st.integers(0, 50), st.integers(0, 50), st.sampled_from([Outcome.CRASHED, Outcome.LOST]))
def test_no_task_takes_a_fourth_worker_with_it(crashes: int, lost: int, outcome: Outcome) -> None:
    decision = after_death(crashes, lost, outcome, "SIGSEGV")
    assert isinstance(decision, Bury) is (crashes + lost >= STRIKES)


@pytest.mark.parametrize("outcome", [Outcome.CRASHED, Outcome.LOST])
def test_a_cancelled_task_ends_with_its_worker_and_is_not_parked(outcome: Outcome) -> None:
    for deaths in range(1, STRIKES + 1):
        assert after_death(deaths, 0, outcome, "SIGSEGV", cancelling=True) == Cancel()


def test_what_comes_back_unstarted_waits_again_unless_it_was_cancelled() -> None:
    assert after_release(cancelling=False) == Back()
    assert after_release(cancelling=True) == Cancel()


@pytest.mark.parametrize(
    ("exitcode", "words"),
    [
        (-signal.SIGSEGV, "SIGSEGV"),
        (-signal.SIGKILL, "SIGKILL"),
        (0, "exit 0"),
        (3, "exit 3"),
        (-120, "signal 120"),
    ],
)
def test_an_exit_code_is_said_in_words(exitcode: int, words: str) -> None:
    assert cause_of(exitcode) == words
