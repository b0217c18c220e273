"""What the oracle believes: every task and every session, from what the manager was told and has answered."""

from __future__ import annotations

from collections import Counter

from msgspec import Struct, field

from qm.limits import SESSION_TERM
from qm.messages import NewTask, Slot, WorkerInfo
from qm.task import ENDED, Lease, State

_DAY = 86400.0

#: Seconds that an ended task is kept, unless it says.
KEEP = {State.DONE: _DAY, State.CANCELLED: _DAY, State.FAILED: 30 * _DAY}

#: Deaths that a task may see.
STRIKES = 3


class Violation(AssertionError):
    """A promise is broken."""


def demand(holds: object, *words: object) -> None:
    """Raises `Violation` where something does not hold."""
    if not holds:
        raise Violation(" ".join(map(str, words)))


class Record(Struct):
    """A task as it must be."""

    new: NewTask
    #: Orders tasks by age, and by their turn.
    n: int
    seq: int
    state: State = State.WAITING
    attempt: int = 0
    failures: int = 0
    crashes: int = 0
    lost: int = 0
    output: bytes | None = None
    lease: Lease | None = None
    slot: Slot | None = None
    #: When it is due; None while scheduled: not read yet, but within `bounds`.
    due: float | None = None
    bounds: tuple[float, float] = (0.0, 0.0)
    expires: float | None = None
    #: Somebody wanted to cancel it while it ran.
    unwanted: bool = False
    #: How its attempts ended.
    past: dict[Lease, str] = field(default_factory=dict)

    def end_attempt(self, verb: str) -> None:
        """The lease holds no more."""
        assert self.lease is not None
        self.past[self.lease] = verb
        self.lease = self.slot = None

    def close(self, state: State, now: float) -> None:
        """It has ended."""
        self.state, self.due, self.unwanted = state, None, False
        self.expires = now + (KEEP[state] if self.new.keep is None else self.new.keep)

    def wait(self, seq: int | None = None) -> None:
        """It waits: at its old place, or at the tail."""
        self.state, self.due = State.WAITING, None
        self.seq = self.seq if seq is None else seq

    def give_back(self, now: float) -> None:
        """Its attempt is over uncounted: it waits at its old place, or ends if somebody has cancelled it."""
        self.end_attempt("recover")
        if self.unwanted:
            self.close(State.CANCELLED, now)
        else:
            self.wait()

    def charge(self, now: float, *, crashes: int = 0, lost: int = 0) -> None:
        """Its worker is gone under it."""
        self.crashes += crashes
        self.lost += lost
        if self.crashes + self.lost >= STRIKES and not self.unwanted:
            self.end_attempt("recover")
            self.close(State.FAILED, now)
        else:
            self.give_back(now)

    @property
    def ended(self) -> bool:
        """Whether it is in one of the ends."""
        return self.state in ENDED


class Membership(Struct):
    """A session as it must be, in one life of the manager."""

    info: WorkerInfo
    deadline: float
    draining: bool = False
    #: It is over, but what it held is not given back yet.
    ended: bool = False
    #: The store knows it: until then nobody may call under it.
    stored: bool = False
    #: (incarnation, call) by index.
    slots: dict[int, tuple[int, int]] = field(default_factory=dict)


class Ledger:
    """All tasks, and the sessions."""

    def __init__(self) -> None:
        self.tasks: dict[str, Record] = {}
        #: Ids of tasks that are gone: digest, and until when they are known.
        self.gone: dict[str, tuple[bytes, float]] = {}
        #: What the manager knows of sessions in memory, and what its store does.
        self.sessions: dict[str, Membership] = {}
        self.stored: dict[str, WorkerInfo] = {}
        #: Failures allowed by type.
        self.attempts: dict[str, int | None] = {}
        #: How often what happened.
        self.seen: Counter[str] = Counter()
        self._numbers = 0

    def number(self) -> int:
        """The next turn."""
        self._numbers += 1
        return self._numbers

    def running(self, session: str, slot: Slot | None = None) -> list[Record]:
        """What a session, or one slot of it, holds."""
        held = [r for r in self.tasks.values() if r.slot is not None and r.slot.session == session]
        return [r for r in held if slot is None or (r.slot and _may_speak_for(slot, r.slot))]

    def line(self, types: list[str]) -> list[Record]:
        """What waits of these types, in its order."""
        waiting = [r for r in self.tasks.values() if r.state is State.WAITING and r.new.type in types]
        return sorted(waiting, key=lambda r: (-r.new.priority, r.seq))

    def forget(self, id_: str, until: float) -> None:
        """A task goes, its id stays known."""
        self.gone[id_] = (self.tasks.pop(id_).new.digest, until)

    def open(self, info: WorkerInfo, monotonic: float) -> None:
        """A session opens, or opens again."""
        known = self.sessions.get(info.session)
        if known is None or known.ended:
            known = self.sessions[info.session] = Membership(info, 0.0)
        known.info, known.deadline = info, monotonic + SESSION_TERM

    def is_open(self, session: str) -> bool:
        """Whether the manager should know it."""
        found = self.sessions.get(session)
        return found is not None and found.stored and not found.ended


def _may_speak_for(slot: Slot, holder: Slot) -> bool:
    """Whether it is the same slot, or its dead predecessor: what that holds is its to give back."""
    return holder.index == slot.index and holder.incarnation <= slot.incarnation
