"""Tasks per second, from the looks of the last seconds."""

from __future__ import annotations

import pytest

from qm.web.rate import WINDOW, Rate


def test_one_look_knows_nothing_and_two_know_the_slope() -> None:
    rate = Rate()
    assert rate.note(100.0, 1.0, 50) is None
    assert rate.note(102.0, 1.0, 60) == pytest.approx(5.0)


def test_looks_in_a_moment_make_no_thousand_of_one_task() -> None:
    rate = Rate()
    rate.note(100.0, 1.0, 0)
    assert rate.note(100.001, 1.0, 1) is None


def test_only_the_last_seconds_count() -> None:
    rate = Rate()
    for second in range(100):
        rate.note(float(second), 1.0, 100 * min(second, 50))
    assert rate.note(100.0, 1.0, 5000) == 0.0


def test_a_long_time_without_a_look_is_no_rate_of_now() -> None:
    rate = Rate()
    rate.note(0.0, 1.0, 0)
    assert rate.note(WINDOW + 50, 1.0, 1000) is None


def test_a_restarted_manager_makes_no_negative_rate() -> None:
    rate = Rate()
    rate.note(0.0, 1.0, 1000)
    rate.note(2.0, 1.0, 1100)
    assert rate.note(4.0, 3.5, 0) is None
    assert rate.note(6.0, 3.5, 20) == pytest.approx(10.0)


def test_a_restart_shows_in_a_smaller_number_too() -> None:
    """The wall clock may have been set back to the same start."""
    rate = Rate()
    rate.note(0.0, 1.0, 1000)
    assert rate.note(2.0, 1.0, 3) is None
