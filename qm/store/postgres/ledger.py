"""What the store keeps in memory beside the database: the counts as last committed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from qm.store.postgres.connection import Connection
from qm.task import State

#: Differences that are folded at a time: some milliseconds of work, and few enough for whoever sums them up.
_FOLD: Final = 2000

_Key = tuple[str, State]


class Ledger:
    """Counts by type and state. Changed only under the writer's turn.

    What other managers commit is seen by `read`: said once a second between two transactions, it makes every
    count right within that second. Until then there are rumours of what waits.
    """

    def __init__(self) -> None:
        self._totals: dict[_Key, int] = {}
        #: Tasks that others say wait by now, by type, until the counts are read again.
        self._rumours: dict[str, int] = {}
        #: Rows of the differences in the database, as far as we know.
        self._appended = 0

    def read(self, connection: Connection) -> None:
        """Takes the counts from the database. Said between transactions, so that none of ours is missing."""
        self._rumours = {}  # before: one that comes meanwhile may tell of what we do not see yet
        rows = connection.run("counts")
        self._totals = {(name, State(state)): tasks for name, state, tasks, _ in rows}
        self._appended = sum(parts for *_, parts in rows)  # and a few sums

    def fold(self, connection: Connection) -> None:
        """Sums up the differences when there are many. Said between transactions, by the one that leads."""
        if self._appended >= _FOLD:
            self._appended = 0  # first: what fails is tried again after so many more
            connection.run("fold_counts")

    def counts(self, differences: Mapping[_Key, int] | None = None) -> dict[str, dict[State, int]]:
        """The counts as last committed, or as it is said, and with `differences` that are not yet committed.
        None is below zero for a moment because we took a task before we have read that it was added."""
        sums = Counter(dict(tuple(self._totals.items())))
        sums.update(differences or {})
        sums.update({(name, State.WAITING): tasks for name, tasks in tuple(self._rumours.items())})
        found: dict[str, dict[State, int]] = {}
        for (name, state), tasks in sums.items():
            if tasks > 0:
                found.setdefault(name, {})[state] = tasks
        return found

    def waiting(self, types: Iterable[str]) -> int:
        """How many tasks of these types wait, as last committed, or as it is said."""
        return sum(self.total((name, State.WAITING)) + self._rumours.get(name, 0) for name in set(types))

    def believe(self, waiting: dict[str, int]) -> None:
        """Another manager says that these many tasks more wait, by type."""
        for name, tasks in waiting.items():
            self._rumours[name] = self._rumours.get(name, 0) + tasks

    def total(self, key: _Key) -> int:
        """The count of one type and state as last committed."""
        return self._totals.get(key, 0)

    def apply(self, differences: dict[_Key, int]) -> None:
        """Adds what a transaction has committed."""
        # by one update: readers see all of a transaction or nothing
        self._totals.update({key: self.total(key) + tasks for key, tasks in differences.items()})
        self._appended += len(differences)


class Entry:
    """The differences of one transaction, and the places at the tail that it reserved."""

    def __init__(self, ledger: Ledger, connection: Connection) -> None:
        self._ledger = ledger
        self._connection = connection
        self._differences: dict[_Key, int] = {}
        self._numbers: list[int] = []
        self._reserve = 1

    def move(self, name: str, source: State | None, target: State | None, tasks: int = 1) -> None:
        """Notes that tasks of a type went from one state to another; None is outside."""
        if source is not None:
            self._add((name, source), -tasks)
        if target is not None:
            self._add((name, target), tasks)

    def number(self) -> int:
        """A place behind all that were given before, by whatever manager. Reserved in ever larger blocks: a
        batch costs a few round trips, and what is left at the end is never used."""
        if not self._numbers:
            rows = self._connection.run("reserve_numbers", (self._reserve,))
            self._numbers = [n for (n,) in reversed(rows)]
            self._reserve *= 4
        return self._numbers.pop()

    def counts(self) -> dict[str, dict[State, int]]:
        """The counts as this transaction sees them."""
        return self._ledger.counts(self._differences)

    def waiting(self, name: str) -> int:
        """How many tasks of a type wait, as this transaction sees it."""
        return self._ledger.waiting([name]) + self._differences.get((name, State.WAITING), 0)

    def mark(self) -> dict[_Key, int]:
        """What was noted so far, to return to."""
        return dict(self._differences)

    def reset(self, mark: dict[_Key, int]) -> None:
        """Back to a mark."""
        self._differences = mark

    def write(self) -> None:
        """Appends the differences; part of the transaction."""
        changed = [(name, state.value, tasks) for (name, state), tasks in self._differences.items() if tasks]
        self._connection.run_many("add_counts", changed)

    def apply(self) -> None:
        """After the commit."""
        self._ledger.apply({key: tasks for key, tasks in self._differences.items() if tasks})

    def _add(self, key: _Key, tasks: int) -> None:
        self._differences[key] = self._differences.get(key, 0) + tasks
