"""The model: what a task is, the states it can be in, and the only ways from one to another.

    add ──► scheduled ──due──► waiting ──take──► running ──finish──► done
              ▲                   ▲                 │  ├────fail────► failed ──requeue──► waiting
              └──fail, again at───┼─────────────────┤  └───cancel───► cancelled
                                  └─retry, release──┘
    blocked (waits for other tasks) becomes waiting or scheduled when they ended.

`TRANSITIONS` is the whole table; docs/states.md is printed from it and the stores' tests hold it.

A `Task` is generic over how its payloads are held: the manager holds them packed (`PackedTask`: opaque
bytes that it never decodes), users see values (`Task`).
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any, Final, Generic, NamedTuple, TypeAlias

from msgspec import Struct
from typing_extensions import TypeVar


class State(StrEnum):
    """Where a task is."""

    #: Waits for other tasks to end.
    BLOCKED = "blocked"
    #: Due later: an add with a delay, or the pause between two attempts.
    SCHEDULED = "scheduled"
    #: Ready; the next fitting worker gets it.
    WAITING = "waiting"
    #: Leased to a worker.
    RUNNING = "running"
    #: Ended with a result.
    DONE = "done"
    #: Ended without a result: a dead letter, with its reason. `requeue` gives it another chance.
    FAILED = "failed"
    #: Ended because somebody cancelled it.
    CANCELLED = "cancelled"


#: The original's three stores, in its words.
WAIT: Final = (State.WAITING, State.SCHEDULED, State.BLOCKED)
PROGRESS: Final = (State.RUNNING,)
ENDED: Final = (State.DONE, State.FAILED, State.CANCELLED)


class Outcome(StrEnum):
    """How one attempt ended. A failed attempt is not a failed task."""

    OK = "ok"
    ERROR = "error"
    TIMEOUT = "timeout"
    CRASHED = "crashed"
    LOST = "lost"
    CANCELLED = "cancelled"
    RELEASED = "released"


class Transition(NamedTuple):
    """One legal move: the verb, the state it starts from (None: no task yet) and ends in (None: gone)."""

    verb: str
    source: State | None
    target: State | None
    when: str


TRANSITIONS: Final = (
    Transition("add", None, State.WAITING, "a producer adds it"),
    Transition("add", None, State.SCHEDULED, "a producer adds it with a delay"),
    Transition("promote", State.SCHEDULED, State.WAITING, "it is due: to the tail"),
    Transition("take", State.WAITING, State.RUNNING, "a worker leases it"),
    Transition("finish", State.RUNNING, State.DONE, "its worker hands in the result"),
    Transition("fail", State.RUNNING, State.SCHEDULED, "an attempt failed, policy says again later"),
    Transition("fail", State.RUNNING, State.WAITING, "the same, and the pause is over already: to the tail"),
    Transition("fail", State.RUNNING, State.FAILED, "an attempt failed, policy says no more"),
    Transition("retry", State.RUNNING, State.WAITING, "its worker gives it back: to the tail, counted"),
    Transition("retry", State.RUNNING, State.FAILED, "the same, but its attempts are used up"),
    Transition("release", State.RUNNING, State.WAITING, "its worker gives it back: old place, uncounted"),
    Transition("recover", State.RUNNING, State.WAITING, "its worker died: old place"),
    Transition("recover", State.RUNNING, State.FAILED, "its workers died too often"),
    Transition("cancel", State.RUNNING, State.RUNNING, "somebody cancels it: its worker is told to stop it"),
    *(
        Transition(verb, State.RUNNING, State.CANCELLED, "its attempt is over, and somebody had cancelled it")
        for verb in ("fail", "retry", "recover")
    ),
    Transition("cancel", State.BLOCKED, State.CANCELLED, "somebody cancels it"),
    Transition("cancel", State.SCHEDULED, State.CANCELLED, "somebody cancels it"),
    Transition("cancel", State.WAITING, State.CANCELLED, "somebody cancels it"),
    Transition("requeue", State.FAILED, State.WAITING, "an operator gives it another chance: to the tail"),
    *(Transition("forget", state, None, "a producer has no more use for it") for state in ENDED),
    *(Transition("expire", state, None, "its time to live is over") for state in ENDED),
)

#: The moves alone, for checks.
MOVES: Final = frozenset((t.source, t.target) for t in TRANSITIONS)


def transition_table() -> str:
    """`TRANSITIONS` as the Markdown table of docs/states.md."""
    rows = ["| verb | from | to | when |", "|---|---|---|---|"]
    rows += [f"| {t.verb} | {t.source or '–'} | {t.target or '–'} | {t.when} |" for t in TRANSITIONS]
    return "\n".join(rows) + "\n"


P = TypeVar("P", default=Any)
F = TypeVar("F", default="Failure")


class Failure(Struct, frozen=True):
    """What went wrong in an attempt, in the words of the worker that saw it.

    `type` is the exception's class name, `message` its text, `traceback` the formatted traceback (may be
    empty); the last two are cut to `qm.limits.MESSAGE_MAX` and `TRACEBACK_MAX`.
    """

    type: str
    message: str
    traceback: str = ""

    def __str__(self) -> str:
        return f"{self.type}: {self.message}" if self.message else self.type


class Task(Struct, Generic[P, F], kw_only=True, omit_defaults=True):
    """One task as it stands.

    Times are seconds since 1970 by the manager's clock. In an operation, set `output` or return the value.
    """

    id: str
    type: str
    input: P
    state: State = State.WAITING
    output: P | None = None
    #: The last attempt's error; None once the task is done.
    error: F | None = None
    #: Why it ended as it did, or why it waits again, in words; None where the state says it all.
    reason: str | None = None
    priority: int = 0
    #: How often it was taken; never falls. User code can fence its own side effects with it.
    attempt: int = 0
    #: How many failures it may have; None: its type's, or 5.
    attempts: int | None = None
    #: Exceptions, child deaths, and sessions that ended while it ran.
    failures: int = 0
    crashes: int = 0
    lost: int = 0
    added: float = 0.0
    #: When it may run, while scheduled.
    due: float | None = None
    #: When its last attempt started.
    started: float | None = None
    ended: float | None = None
    #: When it is forgotten by itself, once ended.
    expires: float | None = None
    #: Seconds an attempt may take; None: its type's, or 30 minutes.
    timeout: float | None = None
    #: Who runs it: host:pid of the pool.
    worker: str | None = None
    #: Between 0 and 1, and a note, as the running operation last said.
    progress: float | None = None
    note: str | None = None
    #: Somebody cancelled it while it runs: its worker has been told to stop it.
    cancelling: bool = False
    #: Sizes in bytes, packed. In lists they stand for payloads too large to carry.
    input_size: int = 0
    output_size: int = 0

    @property
    def ended_well(self) -> bool:
        """Whether there is a result."""
        return self.state is State.DONE


#: A task as the manager holds it: payloads and error are opaque bytes.
PackedTask: TypeAlias = Task[bytes, bytes]


class Attempt(Struct, Generic[F], kw_only=True, frozen=True, omit_defaults=True):
    """An attempt that has ended, as the flight recorder kept it. The last four fields are known of attempts
    that went wrong or wrote something; one that ended well without a word leaves them out.

    Times are seconds since 1970 by the manager's clock.
    """

    #: Its number: how often the task had been taken.
    attempt: int
    outcome: Outcome
    #: When it was taken, and when its end was told.
    started: float
    ended: float
    #: host:pid of the pool.
    worker: str | None = None
    #: How the child died, or why the task was taken back, in words.
    cause: str | None = None
    error: F | None = None
    #: The process that ran it.
    pid: int | None = None
    #: Of a child that died; negative for a signal.
    exitcode: int | None = None
    #: Bytes: the most that the process has had in memory since it started, by this task or one before it.
    peak_memory: int | None = None
    #: The last lines of its output and log.
    log: str = ""


#: An attempt as the manager holds it: the error is opaque bytes.
PackedAttempt: TypeAlias = Attempt[bytes]


class Lease(Struct, frozen=True, array_like=True, order=True):
    """The right to settle one attempt of one task: fencing token of every finish, fail, retry, release.

    `token` is 64 random bits: attempt numbers can come again after a restore from a backup.
    """

    id: str
    attempt: int
    token: int


class Counts(Struct, frozen=True):
    """How many tasks there are, as the original says it, and by state and type.

    `wait` = blocked + scheduled + waiting, `progress` = running, `done` = all ended.
    """

    wait: int
    progress: int
    done: int
    states: dict[State, int]
    types: dict[str, dict[State, int]]

    @classmethod
    def of(cls, types: dict[str, dict[State, int]]) -> Counts:
        """Sums up the counts by type and state; zeros are left out of `types`."""
        states = dict.fromkeys(State, 0)
        kept: dict[str, dict[State, int]] = {}
        for name, by_state in types.items():
            some = {state: n for state, n in by_state.items() if n}
            for state, n in some.items():
                states[state] += n
            if some:
                kept[name] = some
        total = {group: sum(states[s] for s in group) for group in (WAIT, PROGRESS, ENDED)}
        return cls(total[WAIT], total[PROGRESS], total[ENDED], states, kept)


_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_TYPE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._:-]{0,63}")


def is_id(text: str) -> bool:
    """Whether `text` can be a task's id: 1 to 64 characters of ``A-Za-z0-9._:-``."""
    return _ID.fullmatch(text) is not None


def is_type(text: str) -> bool:
    """Whether `text` can be a task's type: as an id, but beginning with a letter, digit or underscore."""
    return _TYPE.fullmatch(text) is not None
