"""What a store must do: keep tasks by state and move them, atomically, when it is told to.

A store decides nothing. *When* a task may run again is policy's word, handed in as a decision; the store
makes it so, or says that the lease no longer holds. All times are arguments, in seconds since 1970.

    with store.begin() as tx:          one transaction: all of it or nothing
        with tx.savepoint():           one caller's part of it: fails alone
            tx.finish(...); tx.take(...)

Every verb of `Transaction` also exists on the store itself, as a transaction of its own (`Alone`). Verbs take
and give lists: the batch is the natural size, one is the special case. `qm.testing.StoreContract` is the
meaning of it all, as tests; a third store is judged by the same suite.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from msgspec import Struct

from qm.messages import (
    AddStatus,
    Details,
    Fail,
    Finish,
    ListQuery,
    NewTask,
    PackedPage,
    Progress,
    Retry,
    Slot,
    Taken,
    Verdict,
    WorkerInfo,
)
from qm.policy.decision import Back, Bury, Cancel, Decision
from qm.store.shared import Shared
from qm.task import Lease, Outcome, PackedAttempt, PackedTask, State


class Held(Struct, frozen=True, kw_only=True):
    """A running task, as policy needs to see it. `attempts` is its own, else its type's, else None."""

    lease: Lease
    type: str
    failures: int
    crashes: int
    lost: int
    attempts: int | None
    started: float
    #: Somebody cancelled it while it ran.
    cancelling: bool = False


class Recovery(Struct, frozen=True, kw_only=True):
    """What becomes of a running task whose worker is gone, or that a worker never started.

    `outcome` says which counter rises: crashed, lost, or none for others. `cause` and `details` are kept with
    the attempt.
    """

    lease: Lease
    outcome: Outcome
    decision: Back | Bury | Cancel
    cause: str | None = None
    details: Details | None = None


class Reader(Protocol):
    """What can be asked without changing anything."""

    def get(self, ids: Sequence[str]) -> Generator[PackedTask | None, None, None]:
        """The tasks with these ids in order, None for an unknown one. Lazy: stop when you have enough."""

    def list(self, query: ListQuery) -> PackedPage:
        """A page of tasks. Waiting ones in the order in which they would run, scheduled ones by due time,
        blocked and running ones in order of adding, ended ones newest first. Payloads over `PREVIEW_MAX`
        are left out (None, or empty for inputs); their sizes are told."""

    def counts(self) -> dict[str, dict[State, int]]:
        """How many tasks there are by type and state; kept, not counted."""

    def waiting(self, types: Sequence[str]) -> int:
        """How many tasks of these types wait; kept, not counted."""

    def held(self, slot: Slot | None = None, *, session: str | None = None) -> Sequence[Held]:
        """The running tasks of a slot, or of a whole session, in the order they were taken. A slot has what
        its dead predecessors (of lower incarnations) still hold, too: nobody else would miss it."""

    def leased(self, leases: Sequence[Lease]) -> Sequence[Held | None]:
        """The running tasks under these leases, None where a lease does not hold (any more)."""

    def cancelling(self, ids: Sequence[str] | None = None) -> Sequence[tuple[str, Lease]]:
        """The running tasks that somebody cancelled, of these ids or of all, each behind its session."""

    def attempts(self, id: str, before: int | None = None) -> Sequence[PackedAttempt]:
        """The attempts of a task that have ended, newest first, from the one before the number `before` on;
        `RECORDS_MAX` at most, and as many as `BATCH_BYTES` allow, but at least one."""

    def sessions(self) -> Sequence[WorkerInfo]:
        """The sessions that were attached and not detached."""

    def next_due(self) -> float | None:
        """When the next scheduled task is due."""

    def next_expiry(self) -> float | None:
        """When the next ended task is past its time to live."""


class Verbs(Protocol):
    """What changes tasks. Each verb is all or nothing, and safe to say twice."""

    def add(self, tasks: Sequence[NewTask], now: float) -> Sequence[AddStatus]:
        """Stores tasks as waiting, or scheduled where they have a delay. Idempotent by id and digest."""

    def take(
        self, slot: Slot, types: Sequence[str], limit: int, now: float, timeout: float
    ) -> Sequence[Taken]:
        """Leases up to `limit` waiting tasks of `types` to a slot, highest priority first, then oldest; stops
        at `BATCH_BYTES` of payloads but gives at least one. A task whose worker died before comes alone: when
        a host falls silent, nobody can tell which of a batch it ran, and all are charged. `timeout` is for
        tasks that have none. Raises `SessionLost` where the slot's session is another manager's to serve."""

    def finish(self, items: Sequence[Finish], now: float, keep: float) -> Sequence[Verdict]:
        """Results under their leases. `keep`: seconds to keep tasks that do not say, nor their type."""

    def fail(self, items: Sequence[tuple[Fail, Decision]], now: float, keep: float) -> Sequence[Verdict]:
        """Errors under their leases, with policy's word: again at a time, or failed for good."""

    def retry(self, items: Sequence[tuple[Retry, Decision]], now: float, keep: float) -> Sequence[Verdict]:
        """As `fail`, for a worker that asks for another attempt itself."""

    def release(self, leases: Sequence[Lease], now: float) -> Sequence[Verdict]:
        """Back to the old place, uncounted."""

    def recover(self, items: Sequence[Recovery], now: float, keep: float) -> Sequence[Verdict]:
        """What the manager decided about tasks whose worker is gone; LOST where it came too late."""

    def progress(self, items: Sequence[Progress]) -> Sequence[Verdict]:
        """Notes how far running tasks are, under their leases."""

    def cancel(self, ids: Sequence[str], now: float, keep: float) -> Sequence[State | None]:
        """Ends tasks that do not run yet, and notes it of those that run. Gives the state each was in before;
        None for an unknown id."""

    def requeue(self, ids: Sequence[str], now: float) -> Sequence[State | None]:
        """Failed tasks wait again, at the tail, with fresh counters. Gives the state each was in before."""

    def forget(self, ids: Sequence[str], until: float) -> Sequence[State | None]:
        """Deletes ended tasks; their ids stay known `until` then. Gives the state each was in before."""

    def promote(self, now: float, limit: int) -> dict[str, int]:
        """Up to `limit` scheduled tasks that are due wait now. Gives how many of each type."""

    def expire(self, now: float, until: float, limit: int) -> int:
        """Deletes up to `limit` ended tasks past their time to live (their ids stay known `until` then), and
        as many ids past theirs. Gives how many rows went: `limit` or more means there may be others."""

    def attach(self, worker: WorkerInfo, now: float) -> None:
        """Notes a session and the options of its types. Saying it again changes nothing but the options."""

    def detach(self, session: str) -> None:
        """Forgets a session. It must hold nothing any more."""


class Transaction(Reader, Verbs, Protocol):
    """An open transaction. Used by one thread at a time."""

    def savepoint(self) -> AbstractContextManager[None]:
        """A part that fails alone: an exception undoes it and leaves the rest of the transaction good."""

    def serves(self, session: str, *, claim: bool = False) -> bool:
        """Whether a session is this manager's to serve; it stays so until the transaction ends. With `claim`
        it is from now on, whoever served it before. False for one that is not there, where managers share the
        store; a manager that has it alone serves all that it knows."""


class Sole:
    """What a transaction of a store that one manager has alone need not ask."""

    def serves(self, session: str, *, claim: bool = False) -> bool:
        return True


class Store(Reader, Verbs, Protocol):
    """A place that keeps tasks. Thread-safe; transactions queue up for one another."""

    #: sqlite, memory, ...: for status and logs.
    kind: str

    @property
    def shared(self) -> Shared | None:
        """What is offered to several managers at once; None: one has it alone."""

    def begin(self, *, sync: bool = True) -> AbstractContextManager[Transaction]:
        """One transaction: committed at the end, rolled back on an exception. With `sync` it survives a power
        cut when this returns; without, a power cut may undo it (never half of it).

        Raises `qm.errors.NotCommitted` when the store could not commit."""

    def close(self) -> None:
        """Writes everything down and lets the store go."""


class Alone(Verbs):
    """The verbs as transactions of their own, for stores to inherit."""

    @property
    def shared(self) -> Shared | None:
        return None

    def begin(self, *, sync: bool = True) -> AbstractContextManager[Transaction]:
        raise TypeError(f"{type(self).__name__} must bring begin()")

    def add(self, tasks: Sequence[NewTask], now: float) -> Sequence[AddStatus]:
        with self.begin() as tx:
            return tx.add(tasks, now)

    def take(
        self, slot: Slot, types: Sequence[str], limit: int, now: float, timeout: float
    ) -> Sequence[Taken]:
        with self.begin(sync=False) as tx:
            return tx.take(slot, types, limit, now, timeout)

    def finish(self, items: Sequence[Finish], now: float, keep: float) -> Sequence[Verdict]:
        with self.begin() as tx:
            return tx.finish(items, now, keep)

    def fail(self, items: Sequence[tuple[Fail, Decision]], now: float, keep: float) -> Sequence[Verdict]:
        with self.begin() as tx:
            return tx.fail(items, now, keep)

    def retry(self, items: Sequence[tuple[Retry, Decision]], now: float, keep: float) -> Sequence[Verdict]:
        with self.begin() as tx:
            return tx.retry(items, now, keep)

    def release(self, leases: Sequence[Lease], now: float) -> Sequence[Verdict]:
        with self.begin() as tx:
            return tx.release(leases, now)

    def recover(self, items: Sequence[Recovery], now: float, keep: float) -> Sequence[Verdict]:
        with self.begin() as tx:
            return tx.recover(items, now, keep)

    def progress(self, items: Sequence[Progress]) -> Sequence[Verdict]:
        with self.begin(sync=False) as tx:
            return tx.progress(items)

    def cancel(self, ids: Sequence[str], now: float, keep: float) -> Sequence[State | None]:
        with self.begin() as tx:
            return tx.cancel(ids, now, keep)

    def requeue(self, ids: Sequence[str], now: float) -> Sequence[State | None]:
        with self.begin() as tx:
            return tx.requeue(ids, now)

    def forget(self, ids: Sequence[str], until: float) -> Sequence[State | None]:
        with self.begin() as tx:
            return tx.forget(ids, until)

    def promote(self, now: float, limit: int) -> dict[str, int]:
        with self.begin(sync=False) as tx:
            return tx.promote(now, limit)

    def expire(self, now: float, until: float, limit: int) -> int:
        with self.begin(sync=False) as tx:
            return tx.expire(now, until, limit)

    def attach(self, worker: WorkerInfo, now: float) -> None:
        with self.begin() as tx:
            tx.attach(worker, now)

    def detach(self, session: str) -> None:
        with self.begin() as tx:
            tx.detach(session)
