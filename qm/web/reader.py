"""One look at the queue for all viewers at once.

A page must neither hang with the manager nor press it: at most one look is under way, whoever asks meanwhile
shares it, and nobody waits for one that takes too long already. So fifty viewers cost the queue as much as
one, and a frozen manager leaves the server's threads free.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import Final, NamedTuple

from qm.client.patience import Patience
from qm.clock import Clock, SystemClock
from qm.errors import TimedOut
from qm.messages import Status
from qm.task import PackedTask
from qm.wire.remote import Remote

#: Seconds that a manager which restarts is waited for.
PATIENCE: Final = 1.0

#: Seconds after its start for which a look is waited for; longer than the patience, which has better words.
LOOK_TIMEOUT: Final = 2.0

#: Tasks of the done list that are shown.
DONE_SHOWN: Final = 50


class Snapshot(NamedTuple):
    """The queue at one moment; `done` has the newest ended tasks, payloads over 4 KiB left out."""

    status: Status
    done: list[PackedTask]


class _Look(NamedTuple):
    result: Future[Snapshot]
    deadline: float


class Reader:
    """Reads the queue through proxies. Thread-safe."""

    def __init__(self, remote: Remote, patience: float = PATIENCE, clock: Clock | None = None) -> None:
        self._queue = remote.queue()
        self._done = remote.done()
        self._patience = Patience(patience)
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._look: _Look | None = None

    def read(self) -> Snapshot:
        """The queue as it is now, or was while this call waited.

        Raises `Unreachable`, `AuthFailed`, `Draining`, and `TimedOut` where the manager takes too long.
        """
        look = self._current()
        try:
            return look.result.result(max(0.0, look.deadline - self._clock.monotonic()))
        except TimeoutError:
            raise TimedOut("the manager does not answer", hint="it may be stopped, or very busy") from None

    def _current(self) -> _Look:
        """The look under way, or a new one."""
        with self._lock:
            if self._look is None or self._look.result.done():
                look = _Look(Future(), self._clock.monotonic() + LOOK_TIMEOUT)
                threading.Thread(target=self._go, args=(look.result,), name="look", daemon=True).start()
                self._look = look
            return self._look

    def _go(self, result: Future[Snapshot]) -> None:
        try:
            result.set_result(self._patience.call(self._fetch))
        except BaseException as error:  # it belongs to those who wait
            result.set_exception(error)

    def _fetch(self) -> Snapshot:
        return Snapshot(self._queue.status(), self._done.list(limit=DONE_SHOWN).tasks)
