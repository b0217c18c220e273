"""How a running task is interrupted from outside: the parent's signal becomes an exception in it.

The handler runs in the child's main thread, as user code does, between two of its instructions. It raises
only where the page names the very task that runs, and only inside its code: not before, and not when it has
returned and our own code packs its result.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType
from typing import Final, TypeVar

from qm.errors import Cancelled, TimeLimitExceeded
from qm.task import Outcome
from qm.worker.page import Page

T = TypeVar("T")
R = TypeVar("R")

#: To the child: raise. And, heard by faulthandler in C: say where every thread is.
RAISE: Final = signal.SIGUSR1
DUMP: Final = signal.SIGUSR2


def enter(run: Callable[[T], R], argument: T) -> R:
    """Calls user code. What is above this frame may be interrupted."""
    return run(argument)


class Interrupts:
    """The child's end. `told` is why the current task was last interrupted, if it was."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self.told: Outcome | None = None

    def listen(self) -> None:
        """From now on, the parent's signal counts. Main thread only."""
        signal.signal(RAISE, self._raise)

    def _raise(self, number: int, frame: FrameType | None) -> None:
        why = self._page.ordered()
        if why is None or not _inside(frame):
            return
        self.told = why
        raise error_of(why, self._page)


def error_of(why: Outcome, page: Page) -> Cancelled | TimeLimitExceeded:
    """What to raise in the task that runs."""
    task = page.running()
    if why is Outcome.CANCELLED:
        return Cancelled("somebody cancelled the task")
    return TimeLimitExceeded(f"over its limit of {task.limit:g} s" if task else "over its limit")


def _inside(frame: FrameType | None) -> bool:
    while frame is not None and frame.f_code is not enter.__code__:
        frame = frame.f_back
    return frame is not None
