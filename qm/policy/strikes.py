"""When a task that takes its workers with it is parked."""

from __future__ import annotations

import signal

from qm.policy.decision import Back, Bury, Cancel
from qm.task import Outcome

#: Child deaths and lost sessions that one task may see. Failures have a budget of their own.
STRIKES = 3


def after_death(
    crashes: int, lost: int, outcome: Outcome, cause: str, cancelling: bool = False
) -> Back | Bury | Cancel:
    """What follows when the worker of a running task is gone; the counters include this death.

    `outcome` is crashed (its child died: `cause` says how) or lost (its session ended).
    """
    if cancelling:
        return Cancel()
    if crashes + lost < STRIKES:
        return Back()
    times = f"crashed {crashes} times" if not lost else f"lost its worker {crashes + lost} times"
    return Bury(f"{times}: {cause}" if outcome is Outcome.CRASHED else times)


def after_release(cancelling: bool) -> Back | Cancel:
    """What follows when a task comes back that was not started, or through no fault of its own."""
    return Cancel() if cancelling else Back()


def cause_of(exitcode: int) -> str:
    """A child's exit code in words: SIGSEGV for -11, `exit 3` for 3."""
    if exitcode >= 0:
        return f"exit {exitcode}"
    try:
        return signal.Signals(-exitcode).name
    except ValueError:
        return f"signal {-exitcode}"
