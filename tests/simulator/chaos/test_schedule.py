"""What a run does, and when: by seed, and in the proportions that were asked for."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Any

import pytest
from msgspec.structs import replace

from qm.errors import BadRequest
from qm.simulator.chaos import ChaosPlan
from qm.simulator.chaos.schedule import MANAGER_TERM, Deed, schedule
from qm.store.postgres import presence

PLAN = ChaosPlan(seed=7, duration=400, kills=200)
KILLS = {Deed.KILL_MANAGER, Deed.KILL_POOL, Deed.KILL_CHILD}
LONG = {Deed.STOP_PARENT_LONG, Deed.STOP_POOL_LONG}
DATABASE = {Deed.END_CONNECTIONS, Deed.CRASH_DATABASE}
TERM = 30.0

#: Three managers on one database that crashes.
SHARED = replace(PLAN, managers=3, store="postgresql://me:secret@here/db", database_crash="crash")


def test_the_same_seed_gives_the_same_steps_and_another_others() -> None:
    assert schedule(PLAN, TERM) == schedule(PLAN, TERM)
    assert schedule(PLAN, TERM) != schedule(replace(PLAN, seed=8), TERM)


def test_five_workers_are_killed_for_two_managers() -> None:
    steps = Counter(step.deed for step in schedule(PLAN, TERM))
    assert steps[Deed.KILL_MANAGER] == 200
    assert steps[Deed.KILL_CHILD] + steps[Deed.KILL_POOL] == 500 == PLAN.worker_kills
    assert steps[Deed.KILL_POOL] == 100


def test_a_long_run_does_everything_there_is() -> None:
    steps = Counter(step.deed for step in schedule(SHARED, TERM))
    assert steps.keys() == set(Deed)
    assert steps[Deed.CRASH_DATABASE] == steps[Deed.END_CONNECTIONS] == 40
    assert steps[Deed.KILL_MANAGER] == 200


def test_one_manager_with_a_file_meets_nothing_that_only_several_can() -> None:
    deeds = {step.deed for step in schedule(PLAN, TERM)}
    assert deeds == set(Deed) - DATABASE - {Deed.STOP_MANAGER_LONG}


def test_the_runs_of_before_are_still_the_same_by_their_seeds() -> None:
    said = "\n".join(f"{s.at} {s.deed.value} {s.seconds} {s.draw}" for s in schedule(PLAN, TERM))
    assert hashlib.blake2b(said.encode(), digest_size=8).hexdigest() == "a3326338e6b431f6"


def test_what_comes_with_more_managers_and_a_database_only_comes_on_top() -> None:
    on_top = {*DATABASE, Deed.STOP_MANAGER_LONG}
    assert [step for step in schedule(SHARED, TERM) if step.deed not in on_top] == schedule(PLAN, TERM)


def test_one_manager_alone_with_a_database_is_not_stopped_over_its_term() -> None:
    plan = replace(SHARED, managers=1, database_crash=None)
    new = {step.deed for step in schedule(plan, TERM)} - {step.deed for step in schedule(PLAN, TERM)}
    assert new == {Deed.END_CONNECTIONS}


def test_a_database_that_can_be_crashed_is_crashed_once_at_least() -> None:
    plan = replace(SHARED, kills=0)
    assert Counter(step.deed for step in schedule(plan, TERM))[Deed.CRASH_DATABASE] == 1


def test_a_manager_that_is_stopped_over_its_term_is_so_for_its_neighbours() -> None:
    assert MANAGER_TERM >= presence._TERM
    stops = [step for step in schedule(SHARED, TERM) if step.deed is Deed.STOP_MANAGER_LONG]
    assert len(stops) == 6
    assert all(step.seconds > MANAGER_TERM for step in stops)
    assert not any(
        s.deed is Deed.STOP_MANAGER_LONG for s in schedule(replace(SHARED, duration=20, kills=9), TERM)
    )


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
        {"managers": 0},
        {"managers": 17, "store": "postgresql://here/db"},
        {"managers": 2},
        {"managers": 2, "store": "sqlite:queue.db"},
        {"database_crash": "crash"},
        {"database_crash": "crash", "store": "sqlite:queue.db"},
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
    assert "secret" not in f"{SHARED} {SHARED.store_kind}"
    assert "200 kills of 3 managers, 40 crashes of the database and 500 of workers" in str(SHARED)
    once = replace(SHARED, kills=2)
    assert "2 kills of 3 managers, 1 crash of the database and 5 of workers" in str(once)
