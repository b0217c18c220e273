"""What travels between clients, workers and the manager, beside `Task` itself.

Small records are arrays on the wire (`array_like`): half the bytes and half the time of maps. New fields go
to the end with a default, so that neighbours of another version still understand each other.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, Generic, TypeAlias

from msgspec import Meta, Struct

from qm.limits import ITEMS_MAX
from qm.task import F, Lease, Outcome, P, PackedTask, State, Task


class NewTask(Struct, kw_only=True, omit_defaults=True):
    """A task to be added. `input` is packed; `digest` tells a resend from another task under the same id."""

    id: str
    type: str
    input: bytes
    digest: bytes
    priority: int = 0
    #: Seconds from now until it may run; a difference, so that the producer's clock does not matter.
    delay: float = 0.0
    #: Overrides of the type's own options; None leaves them.
    attempts: int | None = None
    timeout: float | None = None
    keep: float | None = None


class AddStatus(StrEnum):
    """What became of one task of an add."""

    CREATED = "created"
    #: The same task is already there (or was, within the last 24 h): a success.
    DUPLICATE = "duplicate"
    #: The id belongs to a task with another type or input.
    CONFLICT = "conflict"


class Added(Struct, frozen=True):
    """The answer to an add: a status per task in order, and their types that no worker serves now."""

    statuses: list[AddStatus]
    unserved: list[str]


class TypeOptions(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an operation says of its tasks; None leaves the default. An add's own value wins.

    `timeout` and `keep` are seconds, `attempts` the failures allowed, `prefetch` how many tasks a child may
    hold at once.
    """

    timeout: float | None = None
    attempts: int | None = None
    keep: float | None = None
    prefetch: int | None = None


class WorkerInfo(Struct, frozen=True, kw_only=True):
    """Who opens a session, and what it can do."""

    #: UUIDv7 of the session, made by the pool: attaching twice with it re-opens the same session.
    session: str
    host: str
    pid: int
    processes: int
    types: Annotated[dict[str, TypeOptions], Meta(max_length=ITEMS_MAX)]

    @property
    def name(self) -> str:
        """host:pid, as logs, lists and attempt records show it."""
        return f"{self.host}:{self.pid}"


class Attached(Struct, frozen=True):
    """The answer to attach: the session's term in seconds."""

    term: float


class Orders(Struct, frozen=True):
    """The answer to renew: what the pool should do."""

    #: Stop taking, finish what runs, leave.
    drain: bool = False
    #: Tasks to stop: all that somebody cancelled and that still run.
    cancel: list[Lease] = []


class Slot(Struct, frozen=True, array_like=True):
    """A child of a session. `incarnation` rises with every respawn, so that a late word of a dead child
    never touches its successor."""

    session: str
    index: int
    incarnation: int

    def succeeds(self, other: Slot) -> bool:
        """Whether it is `other`, or a later incarnation of it."""
        same = (self.session, self.index) == (other.session, other.index)
        return same and self.incarnation >= other.incarnation


class Claim(Struct, frozen=True, kw_only=True):
    """What a slot wants, and what it still has.

    `call` rises with every try of this incarnation; a call lower than one already seen does nothing.
    Leases of the slot that `holding` does not name go back to their old place: so lost replies heal.
    """

    slot: Slot
    call: int
    holding: Annotated[list[Lease], Meta(max_length=ITEMS_MAX)]
    types: Annotated[list[str], Meta(max_length=ITEMS_MAX)]
    limit: int = 1
    #: The limit is a wish: no more than a fair share when others could work on the tasks.
    share: bool = False


class Taken(Struct, frozen=True, array_like=True):
    """A leased task, as much of it as a worker needs."""

    lease: Lease
    type: str
    input: bytes
    failures: int = 0
    #: Seconds this attempt may take.
    timeout: float = 0.0
    added: float = 0.0
    priority: int = 0

    @property
    def id(self) -> str:
        """The task's id."""
        return self.lease.id


class Details(Struct, frozen=True, array_like=True):
    """What the flight recorder keeps of an attempt that was not quiet. See `qm.task.Attempt`."""

    pid: int | None = None
    exitcode: int | None = None
    peak_memory: int | None = None
    log: str = ""


class Finish(Struct, frozen=True, array_like=True, tag="finish"):
    """The task has a result."""

    lease: Lease
    output: bytes
    details: Details | None = None


class Fail(Struct, frozen=True, array_like=True, tag="fail"):
    """The attempt failed; policy decides whether there is another."""

    lease: Lease
    error: bytes
    retryable: bool = True
    #: error, timeout or cancelled.
    outcome: Outcome = Outcome.ERROR
    details: Details | None = None


class Retry(Struct, frozen=True, array_like=True, tag="retry"):
    """Again, now, at the tail; counts as a failure."""

    lease: Lease
    error: bytes | None = None


class Release(Struct, frozen=True, array_like=True, tag="release"):
    """Not this worker, not now: back to its old place, uncounted."""

    lease: Lease


Settlement: TypeAlias = Finish | Fail | Retry | Release


class Progress(Struct, frozen=True, array_like=True):
    """How far a running task is: a fraction of 1, and a note of at most 200 characters."""

    lease: Lease
    fraction: float
    note: str = ""


class Verdict(StrEnum):
    """What became of a settlement."""

    ACCEPTED = "accepted"
    #: The same lease was already settled with the same verb: a success.
    REPEATED = "repeated"
    #: The lease is no longer valid: drop the result.
    LOST = "lost"


class Exchanged(Struct, frozen=True):
    """The answer to exchange: a verdict per settlement in order, and the tasks taken."""

    verdicts: list[Verdict]
    tasks: list[Taken]


class Crash(Struct, frozen=True, kw_only=True):
    """A child's death as its parent saw it.

    `exitcode` is negative for a signal; `current` is the lease that user code ran under, or None. `outcome`
    is timeout or cancelled where the parent itself had to kill the child; `error` says where the task hung.
    """

    slot: Slot
    exitcode: int
    current: Lease | None = None
    outcome: Outcome = Outcome.CRASHED
    error: bytes | None = None
    details: Details | None = None


class Got(Struct, frozen=True):
    """The answer to get: the tasks found, the ids of unknown ones, and the ids that found no room in one
    frame (ask again with these)."""

    tasks: list[PackedTask]
    missing: list[str]
    rest: list[str]


class ListQuery(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which tasks a list wants: of `states` (in that order), of `type` if given.

    `cursor` is the previous page's `next`; `limit` is clamped to `qm.limits.PAGE_MAX`.
    """

    states: tuple[State, ...] = tuple(State)
    type: str | None = None
    limit: int = 50
    cursor: str | None = None


class Page(Struct, Generic[P, F], frozen=True):
    """A page of tasks; `next` is the cursor of the next page, or None on the last."""

    tasks: list[Task[P, F]]
    next: str | None = None


#: A page as it travels.
PackedPage: TypeAlias = Page[bytes, bytes]


class WorkerStatus(Struct, frozen=True, kw_only=True):
    """A connected pool as the manager sees it. Times are seconds since 1970."""

    session: str
    name: str
    processes: int
    #: The first 20 of those that it serves.
    types: list[str]
    since: float
    #: How many more it serves.
    types_left: int = 0


class Status(Struct, frozen=True, kw_only=True):
    """How things stand. `wait`, `progress`, `done`, `states` and `types` as in `qm.task.Counts`, but of more
    than 1,000 types it has those with most to do."""

    wait: int
    progress: int
    done: int
    states: dict[State, int]
    types: dict[str, dict[State, int]]
    #: Connected pools, oldest first; of more than 500 the newest.
    workers: list[WorkerStatus]
    #: Types with tasks waiting that no connected worker serves; 1,000 at most.
    unserved: list[str]
    #: The manager's wall clock, its start, its version and the kind of its store.
    now: float
    started: float
    version: str
    store: str
    #: Tasks that ended since `started`, however and at whichever manager they did: two looks give how many
    #: end per second.
    ended: int = 0
    #: The manager is stopping, and takes nothing new.
    draining: bool = False
    #: host:pid of the other managers of the store.
    others: list[str] = []
    #: Types beyond those named.
    types_left: int = 0
    #: Pools beyond those named.
    workers_left: int = 0
    #: Types that nobody serves, beyond those named.
    unserved_left: int = 0
    #: Processes of all connected pools.
    processes: int = 0


#: The longest note of a progress report.
NOTE_MAX: Final = 200

#: ... and one of them sealed, each character of four bytes: longer than a plain one may be.
SEALED_NOTE_MAX: Final = 1280
