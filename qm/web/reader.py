"""What the page knows of the queue, for all viewers at once.

Fifty viewers cost the queue as much as one: see `qm.web.looks`; and a look at how things stand serves all who
come in the next half second.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from qm.client.patience import Patience
from qm.clock import Clock, SystemClock
from qm.errors import NotFound
from qm.messages import ListQuery, PackedPage, Status
from qm.task import PackedAttempt, PackedTask
from qm.web.looks import LOOK_TIMEOUT, Looks
from qm.web.rate import Rate
from qm.wire.remote import Remote

__all__ = ["DONE_SHOWN", "LOOK_TIMEOUT", "PATIENCE", "Reader", "Snapshot", "Story"]

#: Seconds that a manager which restarts is waited for.
PATIENCE: Final = 1.0

#: Tasks of the done list that are shown.
DONE_SHOWN: Final = 50


class Snapshot(NamedTuple):
    """The queue at one moment; `done` has the newest ended tasks, payloads over 4 KiB left out. `rate` is how
    many tasks end per second now, None where that is not known yet."""

    status: Status
    done: list[PackedTask]
    rate: float | None = None


class Story(NamedTuple):
    """A task, and its attempts that have ended, newest first."""

    task: PackedTask
    attempts: Sequence[PackedAttempt]


class Reader:
    """Reads the queue through proxies. Thread-safe.

    All of it raises `Unreachable`, `AuthFailed`, `Draining`, and `TimedOut` where the manager takes too long.
    """

    def __init__(self, remote: Remote, patience: float = PATIENCE, clock: Clock | None = None) -> None:
        self._queue = remote.queue()
        self._done = remote.done()
        self._patience = Patience(patience)
        self._clock = clock or SystemClock()
        self._looks = Looks(self._clock)
        self._rate = Rate()
        self._last: tuple[float, Snapshot] | None = None

    def read(self, max_age: float = 0.0) -> Snapshot:
        """The queue as it is now, or was while this call waited, or at most `max_age` seconds before."""
        last = self._last
        if last is not None and max_age > 0 and self._clock.monotonic() - last[0] <= max_age:
            return last[1]
        return self._looks.share("status", lambda: self._patience.call(self._look))

    def list(self, query: ListQuery) -> PackedPage:
        """A page of tasks. Raises `BadRequest` for a cursor that no list gave."""
        return self._looks.share(query, lambda: self._patience.call(lambda: self._queue.list(query)))

    def task(self, id: str, before: int | None = None) -> Story:
        """A task, and its attempts, those with numbers below `before` if given. Raises `NotFound`."""
        return self._looks.share((id, before), lambda: self._patience.call(lambda: self._tell(id, before)))

    def _look(self) -> Snapshot:
        status = self._queue.status()
        at = self._clock.monotonic()
        done = self._done.list(limit=DONE_SHOWN).tasks
        snapshot = Snapshot(status, done, self._rate.note(at, status.started, status.ended))
        self._last = at, snapshot
        return snapshot

    def _tell(self, id: str, before: int | None) -> Story:
        found = self._queue.get([id]).tasks
        if not found:
            raise NotFound(f"there is no task {id}", hint="it was forgotten, or never added")
        return Story(found[0], self._queue.attempts(id, before))
