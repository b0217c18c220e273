"""What a run does, and when: by seed, and in the proportions that were asked for."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from msgspec.structs import replace

from qm.errors import BadRequest
from qm.simulator.chaos import ChaosPlan
from qm.simulator.chaos.schedule import Deed, schedule

PLAN = ChaosPlan(seed=7, duration=400, kills=200)
KILLS = {Deed.KILL_MANAGER, Deed.KILL_POOL, Deed.KILL_CHILD}
LONG = {Deed.STOP_PARENT_LONG, Deed.STOP_POOL_LONG}
TERM = 30.0


def test_the_same_seed_gives_the_same_steps_and_another_others() -> None:
    assert schedule(PLAN, TERM) == schedule(PLAN, TERM)
    assert schedule(PLAN, TERM) != schedule(replace(PLAN, seed=8), TERM)


def test_five_workers_are_killed_for_two_managers() -> None:
    steps = Counter(step.deed for step in schedule(PLAN, TERM))
    assert steps[Deed.KILL_MANAGER] == 200
    assert steps[Deed.KILL_CHILD] + steps[Deed.KILL_POOL] == 500 == PLAN.worker_kills
    assert steps[Deed.KILL_POOL] == 100


def test_a_long_run_does_everything_there_is() -> None:
    assert {step.deed for step in schedule(PLAN, TERM)} == set(Deed)


def test_steps_come_in_order_and_within_the_time() -> None:
    moments = [step.at for step in schedule(PLAN, TERM)]
    assert moments == sorted(moments)
    assert moments[0] >= 0 and moments[-1] <= PLAN.duration


def test_a_stop_over_the_term_is_one() -> None:
    assert all(step.seconds > TERM for step in schedule(PLAN, TERM) if step.deed in LONG)


def test_a_short_run_has_no_time_for_it() -> None:
    assert not LONG & {step.deed for step in schedule(ChaosPlan(duration=50), TERM)}


def test_without_kills_nobody_is_killed() -> None:
    assert not KILLS & {step.deed for step in schedule(ChaosPlan(kills=0), TERM)}


@pytest.mark.parametrize(
    "wrong",
    [
        {"duration": 0.0},
        {"duration": float("inf")},
        {"duration": float("nan")},
        {"kills": -1},
        {"duration": 10.0, "kills": 11},
        {"producers": 0},
        {"producers": 1000},
        {"pools": 0},
        {"processes": 0},
        {"store": "memory:"},
    ],
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        ChaosPlan(**wrong)


def test_a_plan_says_what_it_will_do_and_no_password() -> None:
    assert str(ChaosPlan()) == (
        "60 s of faults under load from 2 producers to 2 pools of 2: 10 kills of the manager and 25 of "
        "workers"
    )
    secret = ChaosPlan(store="postgresql://me:secret@here/db")
    assert "secret" not in f"{secret} {secret.store_kind}"
