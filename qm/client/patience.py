"""Calling a manager that may be away for a moment: restarting, draining, behind a cut connection.

Every verb may be said twice without harm (adds by their ids, settlements by their leases, takes by their call
numbers), so a call whose answer was lost is simply said again.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

from qm.errors import Draining, NotCommitted, QueueError, Unreachable

_log = logging.getLogger(__name__)
T = TypeVar("T")

#: Seconds between tries: random up to a bound that doubles from the first to the last of these, so that a
#: fleet neither comes back in step nor late.
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 0.5

#: Seconds of tries in vain until they are worth a line in the log, and then between two of them.
_SILENT: Final = 10.0
_TELL: Final = 60.0

#: What a later try can mend.
PASSING: Final = (Unreachable, Draining, NotCommitted)


class Patience:
    """For how long after its first failure a call is tried again, and the pauses in between."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._closed = threading.Event()

    def call(self, once: Callable[[], T]) -> T:
        """The answer of `once`, tried again while a later try can help and the time lasts."""
        deadline = None  # a call may wait long and only then lose its manager
        tell = 0.0
        pause = _FIRST_PAUSE
        while True:
            try:
                return once()
            except PASSING as error:
                now = time.monotonic()
                if deadline is None:
                    deadline, tell = now + self.seconds, now + _SILENT
                elif now >= tell:
                    _log.warning("tried in vain for %.0f s, and on: %s", now - deadline + self.seconds, error)
                    tell = now + _TELL
                self._pause(error, deadline, random.uniform(0, pause))
            pause = min(2 * pause, _LONGEST_PAUSE)

    def close(self) -> None:
        """Ends all pauses: what is tried now is the last try."""
        self._closed.set()

    def _pause(self, error: QueueError, deadline: float, seconds: float) -> None:
        if time.monotonic() + seconds >= deadline or self._closed.wait(seconds):
            raise error
