"""What a store that several managers have at once offers beside `qm.store.base.Store`.

The store is the only truth: leases and sessions are its rows, and each session is served by one manager at a
time. What managers tell one another are hints, which save time and may be lost; once a second each looks for
itself.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple, Protocol

from msgspec import Struct

from qm.messages import WorkerInfo
from qm.task import Lease


class Hints(Struct, omit_defaults=True, kw_only=True):
    """What a commit of one manager means for those who wait at others."""

    #: New waiting tasks by type.
    waiting: dict[str, int] = {}
    #: Ids of tasks that ended.
    ended: list[str] = []
    #: Running tasks that somebody cancelled, each behind its session.
    cancelled: list[tuple[str, Lease]] = []
    #: When the first of the tasks that became scheduled is due.
    due: float | None = None
    #: Sessions or managers came, moved or went: look at once.
    moved: bool = False


class Wants(NamedTuple):
    """What a manager wants to hear of: others save their hints where nobody does."""

    #: Of new waiting tasks: calls for them are parked.
    hungry: bool
    #: Of tasks that ended: calls wait for it.
    watching: bool


class Other(NamedTuple):
    """Another manager of the store."""

    number: int
    #: host:pid, for people.
    name: str
    #: How many tasks have ended there since it opened the store.
    ended: int


class Known(NamedTuple):
    """A session as the store has it."""

    info: WorkerInfo
    attached: float
    #: It is this manager's to serve.
    ours: bool


class Sight(NamedTuple):
    """What a look shows."""

    #: The store's clock, in seconds since 1970.
    now: float
    others: Sequence[Other]
    #: The sessions that are ours to serve.
    ours: Collection[str]
    #: All sessions; None: they are as they were at the last look.
    sessions: Sequence[Known] | None
    #: The running tasks of our sessions that somebody cancelled.
    cancelling: Sequence[tuple[str, Lease]]


class Shared(Protocol):
    """The store as one of several managers has it."""

    @property
    def leads(self) -> bool:
        """Whether this manager does what only one need do: promote, expire, and adopt the sessions of
        managers that are gone. Two that believe it for a moment do no harm."""

    def listen_to(self, hear: Callable[[Hints], None]) -> None:
        """Has `hear` told what other managers hint at, in a thread of the store's. It must return at once."""

    def tell(self, hints: Hints) -> None:
        """Hints something to the other managers. Returns at once, and never fails."""

    def want(self, wants: Wants) -> None:
        """Says what this manager wants to hear of. As `tell`; what is not wanted any more is said by
        `look`."""

    def look(self, wants: Wants, ended: int, see: Callable[[Sight], None]) -> None:
        """Says that this manager lives, and how many tasks have ended here so far, and has `see` told how
        things stand: inside the transaction, so that what it changes comes wholly before or after what others
        commit. Reads the counts anew. Raises `NotCommitted`."""

    def ended(self, ids: Sequence[str]) -> Sequence[str]:
        """Those of `ids` whose tasks have ended, or are gone."""
