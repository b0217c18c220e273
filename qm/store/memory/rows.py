"""What the memory store keeps: one `Row` per task, a `Record` per ended attempt, a `Tombstone` per id gone.

Rows never change: a move makes a new one, and the old one is what a rollback puts back.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from qm.messages import Details, Slot
from qm.store.memory.ordered import Place
from qm.task import Lease, Outcome, State


class Row(Struct, frozen=True, kw_only=True, gc=False):
    """A task. The fields that `qm.task.Task` has too mean the same here."""

    #: Its number here, in order of adding.
    n: int
    #: Its place among its equals; fresh when it goes to the tail.
    seq: int
    id: str
    type: str
    input: bytes
    digest: bytes
    priority: int
    added: float
    state: State = State.WAITING
    #: Its own options; None: its type's, else the default.
    attempts: int | None = None
    timeout: float | None = None
    keep: float | None = None
    due: float | None = None
    attempt: int = 0
    failures: int = 0
    crashes: int = 0
    lost: int = 0
    #: Both while it runs, and only then.
    lease: Lease | None = None
    slot: Slot | None = None
    #: Who took it last, as host:pid, if its session was attached.
    worker: str | None = None
    started: float | None = None
    ended: float | None = None
    expires: float | None = None
    reason: str | None = None
    progress: float | None = None
    note: str | None = None
    output: bytes | None = None
    #: Somebody cancelled it while it runs.
    cancelling: bool = False

    def place(self) -> Place:
        """Where it stands among the tasks of its state: the order in which lists show them."""
        if self.state is State.WAITING:
            return (-self.priority, self.seq, self.id)
        if self.due is not None:
            return (self.due, self.n, self.id)
        if self.ended is not None:
            return (-self.ended, -self.n, self.id)
        return (0, self.n, self.id)

    def running(self, lease: Lease, slot: Slot, worker: str | None, now: float) -> Row:
        """It runs under `lease`."""
        return replace(
            self,
            state=State.RUNNING,
            attempt=lease.attempt,
            lease=lease,
            slot=slot,
            worker=worker,
            started=now,
            progress=None,
            note=None,
        )

    def noted(self, progress: float, note: str) -> Row:
        """Its operation has said how far it is."""
        return replace(self, progress=progress, note=note or None)

    def failed(self) -> Row:
        """One failure more."""
        return replace(self, failures=self.failures + 1)

    def struck(self, outcome: Outcome) -> Row:
        """The counter that the end of its worker raises, if any, is raised."""
        if outcome is Outcome.CRASHED:
            return replace(self, crashes=self.crashes + 1)
        if outcome is Outcome.LOST:
            return replace(self, lost=self.lost + 1)
        return self

    def waiting(self, seq: int) -> Row:
        """It waits, at `seq`."""
        return replace(
            self,
            state=State.WAITING,
            seq=seq,
            due=None,
            lease=None,
            slot=None,
            reason=None,
        )

    def scheduled(self, due: float) -> Row:
        """It waits until `due`."""
        return replace(self, state=State.SCHEDULED, due=due, lease=None, slot=None, reason=None)

    def closed(
        self,
        state: State,
        now: float,
        keep: float,
        *,
        reason: str | None = None,
        output: bytes | None = None,
    ) -> Row:
        """It has ended in `state` and is kept for `keep` seconds."""
        return replace(
            self,
            state=state,
            ended=now,
            expires=now + keep,
            reason=reason,
            output=output,
            due=None,
            lease=None,
            slot=None,
            cancelling=False,
        )

    def renewed(self, seq: int) -> Row:
        """It has failed and waits again, as if it had never been tried."""
        fresh = replace(self, failures=0, crashes=0, lost=0, ended=None, expires=None)
        return fresh.waiting(seq)


class Ending(Struct, frozen=True):
    """How an attempt ends: by which verb, and with what to tell."""

    verb: str
    outcome: Outcome
    error: bytes | None = None
    cause: str | None = None
    details: Details | None = None


class Record(Struct, frozen=True):
    """An attempt that has ended. Lease and verb also answer a settlement that is said twice."""

    lease: Lease
    ending: Ending
    slot: Slot | None
    worker: str | None
    started: float | None
    ended: float


class Tombstone(Struct, frozen=True):
    """An id whose task is gone; known `until` then."""

    id: str
    digest: bytes
    until: float

    def place(self) -> Place:
        """Where it stands among the others: the first to go first."""
        return (self.until, 0, self.id)
