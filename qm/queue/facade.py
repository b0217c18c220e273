"""All verbs in one place, as the manager serves them."""

from __future__ import annotations

from collections.abc import Sequence

from qm.clock import Clock, SystemClock
from qm.messages import (
    Added,
    Attached,
    Claim,
    Crash,
    Exchanged,
    Fail,
    Finish,
    Got,
    ListQuery,
    NewTask,
    Orders,
    PackedPage,
    Progress,
    Release,
    Retry,
    Settlement,
    Status,
    Taken,
    Verdict,
    WorkerInfo,
)
from qm.queue import add, change, get, progress, session, settle, status, take
from qm.queue.core import Core
from qm.queue.timer import Timer
from qm.queue.views import View
from qm.queue.waiter import Caller
from qm.store.base import Store
from qm.task import ENDED, PROGRESS, WAIT, Lease, PackedAttempt, State


class Queue:
    """The task queue over a store. Thread-safe; every verb may be said twice without harm.

    `wait` is seconds to block, bounded by `qm.limits.WAIT_MAX`; callers chain calls for longer waits.
    """

    def __init__(self, store: Store, clock: Clock | None = None) -> None:
        self.core = Core(store, clock or SystemClock())
        self.wait = View(self.core, WAIT)
        self.progressing = View(self.core, PROGRESS)
        self.done = View(self.core, ENDED)
        self._timer = Timer(self.core)
        if self.core.neighbours is not None:
            self.core.neighbours.look()
        else:
            self._welcome_back(store)

    def _welcome_back(self, store: Store) -> None:
        """Pools of before a restart get one fresh term to come back."""
        for info in store.sessions():
            known = self.core.sessions.open(info, self.core.clock.now(), self.core.clock.monotonic())
            self.core.sessions.confirm(known)
        for session_id, lease in store.cancelling():
            self.core.sessions.cancel(session_id, lease)

    def start(self) -> None:
        """Starts the timer."""
        self._timer.start()

    def drain(self) -> None:
        """Ends all waits and takes nothing new; settlements are still accepted."""
        self.core.drain()
        if self._timer.is_alive():
            self._timer.join()

    def add(self, tasks: Sequence[NewTask]) -> Added:
        """See `qm.queue.add`."""
        return add.add(self.core, tasks)

    def get(self, ids: Sequence[str], wait: float = 0, caller: Caller | None = None) -> Got:
        """See `qm.queue.get`."""
        return get.get(self.core, ids, wait, caller)

    def list(self, query: ListQuery) -> PackedPage:
        """A page of tasks of any states."""
        return self.core.store.list(query)

    def attempts(self, id: str, before: int | None = None) -> Sequence[PackedAttempt]:
        """The attempts of a task that have ended, newest first: see `qm.store.base.Reader`."""
        return self.core.store.attempts(id, before)

    def status(self) -> Status:
        """See `qm.queue.status`."""
        return status.status(self.core)

    def cancel(self, ids: Sequence[str]) -> Sequence[State | None]:
        """See `qm.queue.change`."""
        return change.cancel(self.core, ids)

    def requeue(self, ids: Sequence[str]) -> Sequence[State | None]:
        """See `qm.queue.change`."""
        return change.requeue(self.core, ids)

    def forget(self, ids: Sequence[str]) -> Sequence[State | None]:
        """See `qm.queue.change`."""
        return change.forget(self.core, ids)

    def attach(self, worker: WorkerInfo) -> Attached:
        """See `qm.queue.session`."""
        return session.attach(self.core, worker)

    def renew(
        self,
        session_id: str,
        wait: float = 0,
        draining: bool = False,
        heard: Sequence[Lease] = (),
        caller: Caller | None = None,
    ) -> Orders:
        """See `qm.queue.session`."""
        return session.renew(self.core, session_id, wait, draining, heard, caller)

    def detach(self, session_id: str) -> None:
        """See `qm.queue.session`."""
        session.detach(self.core, session_id)

    def crashed(self, crash: Crash) -> None:
        """See `qm.queue.session`."""
        session.crashed(self.core, crash)

    def take(self, claim: Claim, wait: float = 0, caller: Caller | None = None) -> Sequence[Taken]:
        """See `qm.queue.take`."""
        return take.take(self.core, claim, wait, caller)

    def exchange(
        self, claim: Claim, settlements: Sequence[Settlement], wait: float = 0, caller: Caller | None = None
    ) -> Exchanged:
        """See `qm.queue.take`."""
        return take.exchange(self.core, claim, settlements, wait, caller)

    def finish(self, items: Sequence[Finish]) -> Sequence[Verdict]:
        """See `qm.queue.settle`."""
        return settle.settle_alone(self.core, items)

    def fail(self, items: Sequence[Fail]) -> Sequence[Verdict]:
        """See `qm.queue.settle`."""
        return settle.settle_alone(self.core, items)

    def retry(self, items: Sequence[Retry]) -> Sequence[Verdict]:
        """See `qm.queue.settle`."""
        return settle.settle_alone(self.core, items)

    def release(self, items: Sequence[Release]) -> Sequence[Verdict]:
        """See `qm.queue.settle`."""
        return settle.settle_alone(self.core, items)

    def progress(self, items: Sequence[Progress]) -> Sequence[Verdict]:
        """See `qm.queue.progress`."""
        return progress.progress(self.core, items)
