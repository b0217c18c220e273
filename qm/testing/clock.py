"""A clock for tests."""

from __future__ import annotations


class FakeClock:
    """A `qm.clock.Clock` that stands still until it is told to move.

    >>> clock = FakeClock(now=1000.0)
    >>> clock.advance(30)
    >>> clock.now(), clock.monotonic()
    (1030.0, 30.0)
    >>> clock.jump(-3600)  # somebody sets the machine's clock back
    >>> clock.now(), clock.monotonic()
    (-2570.0, 30.0)
    """

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        """`now` is seconds since 1970; the monotonic clock begins at 0."""
        self._now = now
        self._monotonic = 0.0

    def now(self) -> float:
        """The wall clock, in seconds since 1970."""
        return self._now

    def monotonic(self) -> float:
        """Seconds advanced so far."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Time passes: both clocks go on. Raises ValueError for a negative number."""
        if seconds < 0:
            raise ValueError(f"time does not run backwards: {seconds} seconds; jump() sets the wall clock")
        self._now += seconds
        self._monotonic += seconds

    def jump(self, seconds: float) -> None:
        """The wall clock alone is set forwards, or backwards; no time passes."""
        self._now += seconds
