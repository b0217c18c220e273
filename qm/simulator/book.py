"""What a producer has sent: first awaited, then kept for a second reading, then judged.

note ──► open ──claim, close──► ended ──to_judge──► judged
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Sequence
from itertools import islice
from typing import Final

from qm.simulator.load import Job
from qm.task import Task

#: Ended tasks that are kept for their second reading: the more, the further apart the two are. At the end of
#: a run all are read.
_KEPT: Final = 5_000

#: Tasks that are sent and not yet judged. A producer that is faster than the workers waits for them here,
#: else both its memory and the queue would grow without end.
_UNJUDGED_MAX: Final = 10_000


class Entry:
    """A task whose add was acknowledged. `began` is when add was called, on the monotonic clock."""

    __slots__ = ("began", "first", "id", "job", "seconds")

    def __init__(self, id: str, job: Job, began: float) -> None:
        self.id = id
        self.job = job
        self.began = began
        #: The reading that found it ended, and how long after `began` that was.
        self.first: Task | None = None
        self.seconds: float | None = None


class Book:
    """The entries of one producer, shared by its threads."""

    def __init__(self) -> None:
        self.sent = 0
        self.ended = 0
        self._judged = 0
        #: In the order in which they were sent, which is nearly the one in which they end. A plain dict would
        #: step over the holes of all that left before it finds the first.
        self._open: OrderedDict[str, Entry] = OrderedDict()
        self._claimed: set[str] = set()
        self._ended: deque[Entry] = deque()
        self._stopped = self._complete = self._left = False
        #: Told whenever any of the above changes.
        self._changed = threading.Condition()

    def wait_for_room(self) -> bool:
        """Waits until one more task may be sent; False: none may any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or self.sent - self._judged < _UNJUDGED_MAX)
            return not self._stopped

    def note(self, entry: Entry) -> None:
        """A task was sent."""
        with self._changed:
            self.sent += 1
            self._open[entry.id] = entry
            self._changed.notify_all()

    def stop(self) -> None:
        """Nothing more may be sent."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def leave(self) -> None:
        """Nothing more may be sent, and what has not ended is not waited for."""
        with self._changed:
            self._stopped = self._left = True
            self._changed.notify_all()

    def complete(self) -> None:
        """The last task is noted: so says the thread that notes them, for an add may outlast a stop."""
        with self._changed:
            self._complete = True
            self._changed.notify_all()

    def claim(self) -> Entry | None:
        """The oldest open entry that nobody else waits for; None when nothing is left to wait for."""
        with self._changed:
            while not (self._left or self._over()):
                for entry in self._open.values():
                    if entry.id not in self._claimed:
                        self._claimed.add(entry.id)
                        return entry
                self._changed.wait()
            return None

    def unclaim(self, entry: Entry) -> None:
        """The caller no longer waits for `entry`."""
        with self._changed:
            self._claimed.discard(entry.id)
            self._changed.notify_all()

    def oldest(self, number: int) -> list[Entry]:
        """The first open entries."""
        with self._changed:
            return list(islice(self._open.values(), number))

    def close(self, entry: Entry, first: Task | None, moment: float) -> None:
        """`entry` was found ended (or gone: None) at `moment`. Only the first word counts."""
        with self._changed:
            if self._open.pop(entry.id, None) is None:
                return
            entry.first = first
            entry.seconds = None if first is None else moment - entry.began
            self.ended += 1
            self._ended.append(entry)
            self._changed.notify_all()

    def to_judge(self, number: int) -> Sequence[Entry]:
        """Up to `number` entries whose time for a second reading has come; none: all are judged."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._ended) > _KEPT or self._over())
            if self._over() and not self._ended:
                self._ended.extend(self._open.values())
                self._open.clear()
            return [self._ended.popleft() for _ in range(min(number, len(self._ended)))]

    def judged(self, number: int) -> None:
        """So many entries are judged, and need no more room."""
        with self._changed:
            self._judged += number
            self._changed.notify_all()

    def _over(self) -> bool:
        """Whether nothing will be noted or end any more that anybody waits for."""
        return self._complete and (self._left or not self._open)
