"""Rates of completion, taken from the stamps of tasks: the same arithmetic for every system."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, NamedTuple

from benchmarks.stamps import Stamps
from benchmarks.timing import middle_rate

_DRAIN_TIMEOUT: Final = 180.0
_FIRST_TIMEOUT: Final = 60.0
_WARM_UP: Final = 1.0
_SECONDS: Final = 5.0


class Drained(NamedTuple):
    """Tasks per second over the middle 80 % of a drain, and CPU seconds per task in about that time."""

    rate: float
    cpu: float


def drained(stamps: Stamps, cpu_seconds: Callable[[], float], count: int) -> Drained:
    """Waits until `count` tasks have run. `cpu_seconds` tells what all processes of the system have used so
    far. Raises `TimeoutError`."""
    marks = []
    for share in (0.1, 0.9):
        stamps.wait(int(share * count), _DRAIN_TIMEOUT)
        marks.append((stamps.count(), cpu_seconds()))
    stamps.wait(count, _DRAIN_TIMEOUT)
    (some, before), (most, after) = marks
    return Drained(middle_rate(stamps.times()), (after - before) / max(1, most - some))


def sustained(stamps: Stamps, seconds: float = _SECONDS) -> float:
    """Completions per second from now on: from a second after the next one, for `seconds`. Raises
    `TimeoutError` where none comes."""
    stamps.wait(stamps.count() + 1, _FIRST_TIMEOUT)
    time.sleep(_WARM_UP)
    start, before = time.monotonic(), stamps.count()
    time.sleep(seconds)
    return (stamps.count() - before) / (time.monotonic() - start)
