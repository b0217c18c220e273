"""The only place that reads time.

Wall clock (`now`) is for due times and display, `monotonic` for sessions and waits. Everything below the
queue gets time as an argument; the queue has one `Clock`, which tests replace by `qm.testing.FakeClock`.
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Where the queue reads time."""

    def now(self) -> float:
        """Seconds since 1970, as people's clocks say: may jump."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment: never jumps, stands still while the machine is suspended."""


class SystemClock:
    """The machine's clocks."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


def boottime() -> float:
    """Seconds since boot, suspended time included: a worker's own view of its session's end."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
