"""How a call sleeps: on a lock of its own, once, until somebody wakes it. No polling, no shared condition."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from typing import Protocol


class Waiter:
    """One sleeping call. `gone` tells that its caller hung up: nobody is there to take an answer."""

    __slots__ = ("_lock", "gone")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()
        self.gone = False

    def sleep(self, seconds: float) -> bool:
        """Until woken (True) or until the time is over (False). One wake ends one sleep, before or in it."""
        return self._lock.acquire(timeout=max(seconds, 0.0))

    def wake(self) -> None:
        """Ends the sleep, or the next one. Waking twice is waking once."""
        try:
            self._lock.release()
        except RuntimeError:  # already awake
            return

    def hang_up(self) -> None:
        """Wakes it because its caller is gone."""
        self.gone = True
        self.wake()


class Caller(Protocol):
    """The other end of a call that may block."""

    def watched(self, waiter: Waiter) -> AbstractContextManager[None]:
        """While inside, `waiter.hang_up()` is called when the other end is gone."""
