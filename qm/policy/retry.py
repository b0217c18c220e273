"""When a failed attempt is followed by another."""

from __future__ import annotations

from collections.abc import Callable

from qm.policy.decision import Again, Bury, Cancel, Decision

#: Failures a task may have unless it or its type says otherwise.
ATTEMPTS = 5

#: The pause after the n-th failure is 10 s · 3^(n-1): 10 s, 30 s, 90 s, 4.5 min ... at most an hour;
#: long enough for a restart of what the task depends on, short enough that a person sees the end the same
#: day. Jitter comes on top.
FIRST_PAUSE = 10.0
FACTOR = 3.0
LONGEST_PAUSE = 3600.0

#: Pauses vary by a quarter either way, so that tasks which failed together do not come back together.
JITTER = 0.25


def pause(failures: int, draw: Callable[[], float]) -> float:
    """Seconds until the next attempt after `failures` (1, 2, ...); `draw` gives numbers in [0, 1)."""
    plain: float = min(LONGEST_PAUSE, FIRST_PAUSE * FACTOR ** min(failures - 1, 20))
    return plain * (1 - JITTER + 2 * JITTER * draw())


def after_failure(
    failures: int,
    attempts: int | None,
    retryable: bool,
    now: float,
    draw: Callable[[], float],
    cancelling: bool = False,
) -> Decision:
    """What follows a failure. `failures` counts it already; `attempts` None means the default."""
    if cancelling:
        return Cancel()
    allowed = ATTEMPTS if attempts is None else attempts
    if not retryable:
        return Bury("not retryable")
    if failures >= allowed:
        return Bury(f"failed {failures} times" if failures > 1 else "failed, one attempt was allowed")
    return Again(now + pause(failures, draw))


def after_retry(failures: int, attempts: int | None, now: float, cancelling: bool = False) -> Decision:
    """What follows when the worker itself asks for another attempt: at once, while attempts are left."""
    if cancelling:
        return Cancel()
    allowed = ATTEMPTS if attempts is None else attempts
    if failures >= allowed:
        return Bury(f"given back {failures} times" if failures > 1 else "given back, one attempt was allowed")
    return Again(now)
