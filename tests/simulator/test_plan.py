"""A plan is checked where it is made, and its count falls to the producers evenly."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qm.errors import BadRequest
from qm.simulator.plan import PRODUCERS_MAX, Plan


@given(st.integers(1, PRODUCERS_MAX), st.integers(1, 10**6))
def test_the_shares_add_up_to_the_count_and_differ_by_one_at_most(producers: int, count: int) -> None:
    plan = Plan(producers=producers, count=count)
    shares = [plan.share(number) or 0 for number in range(producers)]
    assert sum(shares) == count
    assert max(shares) - min(shares) <= 1


def test_without_a_count_nobody_has_a_share() -> None:
    assert Plan().share(0) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"producers": 0},
        {"producers": PRODUCERS_MAX + 1},
        {"count": 0},
        {"delay": -1.0},
        {"delay": float("nan")},
        {"delay": float("inf")},
    ],
)
def test_numbers_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        Plan(**wrong)


def test_a_plan_says_what_it_will_do() -> None:
    assert str(Plan(count=1, producers=1, delay=0)) == "1 task from 1 producer, as fast as they go"
    assert str(Plan(count=1000, delay=0)) == "1,000 tasks from 2 producers, as fast as they go"
    assert str(Plan(producers=1)) == "tasks until Ctrl-C from 1 producer, 1 s apart"
