"""Group commit: calls of different connections share one transaction, and one sync of the disk.

The first to come leads: it begins a transaction, does its own work and that of all who came meanwhile,
commits it, and hands the lead to the first who came too late for it. A caller alone pays for none of it: it
does its work in its own thread, in a transaction without savepoints.

    leader    BEGIN  work  [SAVEPOINT work RELEASE] ...  COMMIT ─► wakes its riders, then the next leader
    riders           └─ wait on a lock of their own until the commit has held ─┘

One who fails, fails alone: its savepoint is rolled back, the rest is committed. When the commit itself fails,
nobody's work has happened (or none is acknowledged, where the disk failed), and everybody is told so.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

from qm.errors import NotCommitted
from qm.store.base import Store, Transaction

T = TypeVar("T")

#: Seconds after which a leader takes no more riders: a single add beside a bulk loader waits for one such
#: slice and its sync, not for the loader.
_SLICE: Final = 0.005


class _Part:
    """One caller's work, and what became of it."""

    __slots__ = ("_woken", "answer", "error", "leads", "sync", "work")

    def __init__(self, work: Callable[[Transaction], Any], sync: bool) -> None:
        self.work = work
        self.sync = sync
        self.answer: Any = None
        self.error: BaseException | None = None
        #: Woken to lead, not because it is done.
        self.leads = False
        self._woken: threading.Lock | None = None

    def do(self, tx: Transaction) -> None:
        """Does the work; an error of its own is kept for its caller."""
        try:
            self.answer = self.work(tx)
        except BaseException as error:
            self.error = error
            raise

    def make_wait(self) -> None:
        """It will be woken."""
        self._woken = threading.Lock()
        self._woken.acquire()

    def wait(self) -> None:
        """Until somebody wakes it."""
        assert self._woken is not None
        self._woken.acquire()

    def wake(self) -> None:
        """Ends its wait; nothing to do for the leader itself."""
        if self._woken is not None:
            self._woken.release()


class Commit:
    """Runs work on the store in shared transactions. When `run` returns, the work is committed."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._waiting: deque[_Part] = deque()
        self._led = False

    def run(self, work: Callable[[Transaction], T], *, sync: bool = True) -> T:
        """The answer of `work`, committed. `sync`: it must survive a power cut (see `Store.begin`).

        Raises what `work` raises, with nothing of it changed, and `NotCommitted` where the store could not
        commit. `work` may run in the thread of another caller.
        """
        part = _Part(work, sync)
        with self._lock:
            rides = self._led
            if rides:
                part.make_wait()
                self._waiting.append(part)
            self._led = True
        if rides:
            part.wait()
        if not rides or part.leads:
            self._lead(part)
        if part.error is not None:
            raise part.error
        return cast(T, part.answer)

    def _lead(self, part: _Part) -> None:
        """One transaction with this part and those that come along, then the lead goes on."""
        riders: list[_Part] = []
        try:
            with self._store.begin(sync=part.sync) as tx:
                part.do(tx)
                self._take_along(tx, part.sync, riders)
        except BaseException as error:
            self._nothing_happened(part, riders, error)
        finally:
            self._hand_over()
            for rider in riders:
                rider.wake()

    def _take_along(self, tx: Transaction, sync: bool, riders: list[_Part]) -> None:
        deadline = time.monotonic() + _SLICE
        while (rider := self._next_rider(sync)) is not None:
            riders.append(rider)
            try:
                with tx.savepoint():
                    rider.do(tx)
            except BaseException as error:
                if rider.error is None:  # not its own: the savepoint could not be made or released
                    rider.error = error
                    raise
            if time.monotonic() >= deadline:
                return

    def _next_rider(self, sync: bool) -> _Part | None:
        """The next in line, unless it needs a sync that this transaction will not have."""
        with self._lock:
            if self._waiting and (sync or not self._waiting[0].sync):
                return self._waiting.popleft()
            return None

    def _nothing_happened(self, part: _Part, riders: list[_Part], error: BaseException) -> None:
        """The transaction is undone. The leader learns why, the riders that they may try again."""
        if part.error is None:
            part.error = error
        for rider in riders:
            if rider.error is None:
                rider.error = NotCommitted(f"the store could not commit: {error}", hint="try again")

    def _hand_over(self) -> None:
        with self._lock:
            self._led = bool(self._waiting)
            if self._waiting:
                successor = self._waiting.popleft()
                successor.leads = True
                successor.wake()
