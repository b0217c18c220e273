"""What the store keeps in memory beside the file: the counts, and the next free number."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Final, NamedTuple

from qm.messages import WorkerInfo
from qm.store.sqlite.connection import Connection
from qm.task import State

#: Numbers reserved at a time: a write every half million tasks; a restart skips at most a million of 2^63.
#: Half of it is always at hand, far more than one transaction can use.
_BLOCK: Final = 1 << 20

_Key = tuple[str, State]


class _Mark(NamedTuple):
    """What a transaction had noted at some point."""

    differences: dict[_Key, int]
    workers: dict[str, str | None]
    timeouts: dict[str, float | None]


class Ledger:
    """Counts by type and state, and numbers that only rise. Changed only under the writer's turn."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._totals: dict[_Key, int] = {
            (name, State(state)): tasks for name, state, tasks in connection.run("counts")
        }
        self._next = self._reserved = 0
        self._workers: dict[str, str | None] = {
            session: f"{host}:{pid}" for session, host, pid, _, _ in connection.run("sessions")
        }
        self._timeouts: dict[str, float | None] = dict(connection.run("timeouts"))

    def counts(self) -> dict[str, dict[State, int]]:
        """The counts as last committed."""
        found: dict[str, dict[State, int]] = {}
        for (name, state), tasks in tuple(self._totals.items()):
            if tasks:
                found.setdefault(name, {})[state] = tasks
        return found

    def waiting(self, types: Iterable[str]) -> int:
        """How many tasks of these types wait, as last committed."""
        return sum(self.total((name, State.WAITING)) for name in set(types))

    def entry(self) -> Entry:
        """A new transaction's differences."""
        return Entry(self, self._connection)

    def top_up(self) -> None:
        """Reserves numbers ahead of need. Called between transactions: a rollback must not undo it."""
        if self._reserved - self._next < _BLOCK // 2:
            self._reserved = self._connection.run("reserve_numbers", (_BLOCK,))[0][0]
            self._next = max(self._next, self._reserved - _BLOCK)

    def number(self) -> int:
        """A number larger than every one before. One that is rolled back is never used again."""
        self._next += 1
        return self._next

    def total(self, key: _Key) -> int:
        """The count of one type and state as last committed."""
        return self._totals.get(key, 0)

    def worker(self, session: str) -> str | None:
        """host:pid of a session."""
        return self._workers.get(session)

    def timeout(self, name: str) -> float | None:
        """A type's own time limit, in seconds."""
        return self._timeouts.get(name)

    def apply(
        self,
        differences: dict[_Key, int],
        workers: dict[str, str | None],
        timeouts: dict[str, float | None],
    ) -> None:
        """Adds what a transaction has committed."""
        for key, difference in differences.items():
            self._totals[key] = self._totals.get(key, 0) + difference
        self._timeouts.update(timeouts)
        for session, name in workers.items():
            if name is None:
                self._workers.pop(session, None)
            else:
                self._workers[session] = name


class Entry:
    """The differences of one transaction."""

    def __init__(self, ledger: Ledger, connection: Connection) -> None:
        self._ledger = ledger
        self._connection = connection
        self._differences: dict[_Key, int] = {}
        #: Sessions that came (host:pid) or went (None), and the time limits that types said.
        self._workers: dict[str, str | None] = {}
        self._timeouts: dict[str, float | None] = {}

    def move(self, name: str, source: State | None, target: State | None, tasks: int = 1) -> None:
        """Notes that tasks of a type went from one state to another; None is outside."""
        if source is not None:
            self._add((name, source), -tasks)
        if target is not None:
            self._add((name, target), tasks)

    def number(self) -> int:
        """See `Ledger.number`."""
        return self._ledger.number()

    def counts(self) -> dict[str, dict[State, int]]:
        """The counts as this transaction sees them."""
        found = self._ledger.counts()
        for (name, state), difference in self._differences.items():
            by_state = found.setdefault(name, {})
            by_state[state] = by_state.get(state, 0) + difference
        return {name: {s: n for s, n in states.items() if n} for name, states in found.items()}

    def waiting(self, name: str) -> int:
        """How many tasks of a type wait, as this transaction sees it."""
        key = (name, State.WAITING)
        return self._ledger.total(key) + self._differences.get(key, 0)

    def note_worker(self, worker: WorkerInfo) -> None:
        """A session came, or came again with other options."""
        self._workers[worker.session] = worker.name
        self._timeouts.update({name: options.timeout for name, options in worker.types.items()})

    def forget_worker(self, session: str) -> None:
        """A session went."""
        self._workers[session] = None

    def worker(self, session: str) -> str | None:
        """host:pid of a session, as this transaction sees it."""
        return self._workers[session] if session in self._workers else self._ledger.worker(session)

    def timeout(self, name: str) -> float | None:
        """A type's own time limit, as this transaction sees it."""
        return self._timeouts[name] if name in self._timeouts else self._ledger.timeout(name)

    def mark(self) -> _Mark:
        """What was noted so far, to return to."""
        return _Mark(dict(self._differences), dict(self._workers), dict(self._timeouts))

    def reset(self, mark: _Mark) -> None:
        """Back to a mark."""
        self._differences, self._workers, self._timeouts = mark

    def write(self) -> None:
        """Writes the changed counts; part of the transaction."""
        changed = [
            (name, state.value, self._ledger.total((name, state)) + difference)
            for (name, state), difference in self._differences.items()
            if difference
        ]
        self._connection.run_many("set_counts", changed)

    def apply(self) -> None:
        """After the commit."""
        self._ledger.apply(self._differences, self._workers, self._timeouts)

    def _add(self, key: _Key, tasks: int) -> None:
        self._differences[key] = self._differences.get(key, 0) + tasks


def random_token() -> int:
    """64 random bits as SQLite keeps them: a signed integer."""
    return int.from_bytes(os.urandom(8), "big", signed=True)
