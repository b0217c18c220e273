"""Arithmetic of measuring."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence


def seconds(work: Callable[[], object]) -> float:
    """How long `work` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def percentile(times: Sequence[float], percent: int) -> float:
    """The smallest of `times` that `percent` of them do not exceed."""
    ordered = sorted(times)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def milliseconds(
    prefix: str, times: Sequence[float], percents: Sequence[int] = (50, 95, 99)
) -> dict[str, float]:
    """Percentiles of seconds, as figures in milliseconds."""
    return {f"{prefix}_p{percent}": percentile(times, percent) * 1e3 for percent in percents}


def middle_rate(times: Sequence[float]) -> float:
    """Tasks per second over the middle 80 % of completions: neither the start of workers nor the last, half
    idle, moments count. `times` are ordered."""
    first, last = len(times) // 10, len(times) * 9 // 10
    return (last - first) / (times[last] - times[first])


def median(values: Sequence[float]) -> float:
    """The median."""
    return statistics.median(values)
