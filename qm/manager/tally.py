"""What became of those who knocked: counted, by reason, and told to the log now and then.

A stranger can be refused thousands of times in a second. It must not fill the log with that, nor hide in it.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from enum import StrEnum
from typing import Final

from qm.clock import Clock, SystemClock

_log = logging.getLogger(__name__)

#: Seconds for which one line in the log stands for all refusals of its kind.
_QUIET: Final = 10.0


class Refusal(StrEnum):
    """Why a connection was not let in, or not even looked at."""

    #: It does not know the key.
    KEY = "key"
    #: It hung up, said what makes no sense, or nothing in time, before it proved its key.
    UNPROVED = "unproved"
    #: It had proved nothing yet when its place was needed for a newer one.
    CROWDED_OUT = "crowded_out"
    #: There are as many connections as there may be.
    FULL = "full"
    #: There was no descriptor for it.
    DESCRIPTORS = "descriptors"
    #: There was no thread for it.
    THREADS = "threads"
    #: The system did not hand it over, for another reason.
    SYSTEM = "system"


class Tally:
    """The counters of a server, since its start. Thread-safe."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._accepted = 0
        self._admitted = 0
        self._refused: Counter[Refusal] = Counter()
        #: Of each reason, when it was last told, and how many have come since.
        self._told: dict[Refusal, tuple[float, int]] = {}

    @property
    def accepted(self) -> int:
        """Connections that were given a thread."""
        return self._accepted

    @property
    def admitted(self) -> int:
        """... of which so many have proved their key."""
        return self._admitted

    @property
    def refused(self) -> dict[Refusal, int]:
        """How many were refused, by every reason there is."""
        with self._lock:
            return {reason: self._refused[reason] for reason in Refusal}

    def accept(self) -> None:
        """One more was given a thread."""
        with self._lock:
            self._accepted += 1

    def admit(self) -> None:
        """One more has proved its key."""
        with self._lock:
            self._admitted += 1

    def refuse(self, reason: Refusal, text: str, *values: object) -> None:
        """One more was refused. `text` with its `values` is logged, unless the reason was told a moment ago:
        then the next line says how many there were."""
        now = self._clock.monotonic()
        with self._lock:
            self._refused[reason] += 1
            since, untold = self._told.get(reason, (-_QUIET, 0))
            tell = now - since >= _QUIET
            self._told[reason] = (now, 0) if tell else (since, untold + 1)
        if tell and untold:
            _log.warning(text + " (and %d others like it in the last %.0f s)", *values, untold, now - since)
        elif tell:
            _log.warning(text, *values)
