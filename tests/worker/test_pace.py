"""How many tasks a child asks for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from qm.worker.pace import Pace


def test_it_starts_at_one() -> None:
    assert Pace(256).size == 1


def test_short_tasks_let_it_double_up_to_its_bound() -> None:
    pace = Pace(100)
    sizes = []
    for _ in range(9):
        pace.note(pace.size, pace.size * 1e-5)
        sizes.append(pace.size)
    assert sizes == [2, 4, 8, 16, 32, 64, 100, 100, 100]


def test_it_aims_at_tens_of_milliseconds_of_work() -> None:
    pace = Pace(256)
    for _ in range(20):
        pace.note(pace.size, pace.size * 0.002)
    assert 0.02 <= pace.size * 0.002 <= 0.05


def test_one_long_task_brings_it_back_to_one() -> None:
    pace = Pace(256)
    for _ in range(10):
        pace.note(pace.size, pace.size * 1e-5)
    pace.note(1, 2.0)
    assert pace.size == 1


def test_a_batch_that_was_taken_back_before_it_began_teaches_nothing() -> None:
    pace = Pace(256)
    pace.note(0, 5.0)
    assert pace.size == 1


@given(st.integers(1, 256), st.lists(st.tuples(st.integers(0, 256), st.floats(0, 1e4)), max_size=50))
def test_it_never_leaves_its_bounds(most: int, notes: list[tuple[int, float]]) -> None:
    pace = Pace(most)
    for tasks, seconds in notes:
        before = pace.size
        pace.note(tasks, seconds)
        assert 1 <= pace.size <= min(most, 2 * before)
