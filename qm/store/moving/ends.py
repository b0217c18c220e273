"""The two ends of a copy, whichever their dialect. Each is one process's own for as long as it is open: no
manager runs over it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol, TypeAlias

from qm.store.moving.tables import Table
from qm.store.sql.unready import Mark

Row: TypeAlias = tuple[Any, ...]

#: Tasks by type and state.
Counts: TypeAlias = dict[tuple[str, str], int]


class Source(Protocol):
    """A store that is read, as of the moment when it was opened. Raises `StoreError` where it cannot be."""

    #: Its URL without secrets.
    shown: str

    @property
    def keeps_nul(self) -> bool:
        """Whether its texts can have NUL characters."""

    def rows(self, table: Table, after: Row | None = None) -> Iterator[Row]:
        """The table's rows in the order of their keys, those behind the key `after`; one by one."""

    def size(self, table: Table) -> int:
        """How many rows a table has."""

    def count(self) -> Counts:
        """The tasks, counted."""

    def number(self) -> int:
        """No task has a number above this one."""

    def close(self) -> None:
        """Lets the store go."""


class Target(Source, Protocol):
    """A store that is written; it sees what it has written. While it is marked, no manager starts over it."""

    def mark(self) -> Mark | None:
        """The mark of a copy that was begun; None: there was none, or it is whole."""

    def begin(self, mark: Mark) -> None:
        """Marks it."""

    def clear(self) -> None:
        """Throws all rows of a marked store away, and its mark."""

    def last(self, table: Table) -> Row | None:
        """The key of the table's last row."""

    def append(self, table: Table, rows: Iterable[Row]) -> int:
        """Adds rows, all or none. Gives how many."""

    def settle(self, number: int) -> None:
        """Counts the tasks for its managers, and goes on behind `number`."""

    def kept_counts(self) -> Counts:
        """The tasks as its managers will count them."""

    def finish(self) -> None:
        """Removes the mark; when this returns the whole is on the disk."""
