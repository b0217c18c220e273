"""What the verbs of a transaction stand on, whichever the dialect: a connection, and what is noted aside."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, Protocol, TypeAlias

from qm.task import State

Row: TypeAlias = tuple[Any, ...]

#: Bytes of a payload that stays with its row instead of a table of its own: no more than the row itself has,
#: so that pages hold half as many rows at the worst.
NEAR_MAX: Final = 128


class Connection(Protocol):
    """Runs the named queries of one dialect. Used by one thread at a time."""

    def run(self, name: str, args: Sequence[Any] = ()) -> list[Row]:
        """The rows of the named query. Raises `BadRequest` where the database refuses a value."""

    def run_many(self, name: str, rows: Iterable[Row], extra: Row = ()) -> list[Row]:
        """The rows of the named query over a batch: `rows` fill its template, `extra` what follows."""

    def iterate_rows(self, name: str, values: Sequence[Any], extra: Row = ()) -> Iterator[Row]:
        """The rows of the named query over one batch that is never cut; each of `values` is a row of it."""


class Entry(Protocol):
    """What a transaction notes beside the tables."""

    def move(self, name: str, source: State | None, target: State | None, tasks: int = 1) -> None:
        """Notes that tasks of a type went from one state to another; None is outside."""

    def number(self) -> int:
        """A place behind all that were given before."""


class Part:
    """A group of verbs: the connection they run on, and the entry they note their moves in."""

    connection: Connection
    entry: Entry
