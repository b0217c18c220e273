"""The clock that users' tests turn by hand."""

from __future__ import annotations

import pytest

from qm.clock import Clock
from qm.testing import FakeClock


def test_it_stands_still_until_it_is_told_to_move() -> None:
    clock: Clock = FakeClock(now=1000.0)
    assert [(clock.now(), clock.monotonic()) for _ in range(2)] == [(1000.0, 0.0)] * 2


def test_advancing_moves_both_clocks() -> None:
    clock = FakeClock(now=1000.0)
    clock.advance(1.5)
    clock.advance(51 * 3600)
    assert (clock.now(), clock.monotonic()) == (1001.5 + 51 * 3600, 1.5 + 51 * 3600)


@pytest.mark.parametrize("seconds", [3600.0, -3600.0])
def test_a_jump_moves_the_wall_clock_alone(seconds: float) -> None:
    clock = FakeClock(now=1000.0)
    clock.jump(seconds)
    assert (clock.now(), clock.monotonic()) == (1000.0 + seconds, 0.0)


def test_time_does_not_run_backwards() -> None:
    clock = FakeClock(now=1000.0)
    with pytest.raises(ValueError, match="backwards"):
        clock.advance(-1)
    assert (clock.now(), clock.monotonic()) == (1000.0, 0.0)
