"""Everything the memory store keeps, with its orders kept up, and a way back.

`put` and `drop` are the only ways in and out for a task, so that no order can be forgotten. Each change
leaves behind how to undo it; `mark` and `rollback` make savepoints of that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from typing import TypeVar

from qm.messages import Slot, TypeOptions, WorkerInfo
from qm.store.memory.ordered import Ordered
from qm.store.memory.rows import Record, Row, Tombstone
from qm.task import State

K = TypeVar("K")
V = TypeVar("V")


class Tables:
    """The data, without a lock and without the meaning of the verbs."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        #: Tasks by state and type, each line in the order in which it is listed; no empty lines.
        self.lines: dict[State, dict[str, Ordered]] = {state: {} for state in State}
        #: Scheduled tasks of all types by due time, ended ones by the end of their time to live.
        self.due = Ordered()
        self.expiring = Ordered()
        #: Ids of running tasks by session and slot; no empty sets.
        self.held: dict[str, dict[Slot, set[str]]] = {}
        #: Ended attempts by the task's `n` and the attempt.
        self.records: dict[tuple[int, int], Record] = {}
        self.tombstones: dict[str, Tombstone] = {}
        self.fading = Ordered()
        self.options: dict[str, TypeOptions] = {}
        self.workers: dict[str, WorkerInfo] = {}
        self._numbers = count(1)
        self._undo: list[Callable[[], None]] = []

    def number(self) -> int:
        """The next number for `n` or `seq`. Never given twice, whatever is rolled back."""
        return next(self._numbers)

    def put(self, row: Row) -> None:
        """The task is this now."""
        self._change(self.rows.get(row.id), row)

    def drop(self, row: Row) -> None:
        """The task is gone, with the records of its attempts."""
        self._change(row, None)
        for attempt in range(1, row.attempt + 1):
            self._assign(self.records, (row.n, attempt), None)

    def record(self, row: Row, record: Record) -> None:
        """Keeps how the row's last attempt ended."""
        self._assign(self.records, (row.n, row.attempt), record)

    def bury(self, tombstone: Tombstone) -> None:
        """The id is known for as long as the tombstone says."""
        self._change_tombstone(None, tombstone)

    def exhume(self, tombstone: Tombstone) -> None:
        """The id is no longer known."""
        self._change_tombstone(tombstone, None)

    def set_options(self, type_: str, options: TypeOptions) -> None:
        """The type's options are these now, whole."""
        self._assign(self.options, type_, options)

    def set_worker(self, session: str, worker: WorkerInfo | None) -> None:
        """The session is this now, or (None) gone."""
        self._assign(self.workers, session, worker)

    def mark(self) -> int:
        """This moment, for `rollback`."""
        return len(self._undo)

    def rollback(self, mark: int) -> None:
        """Everything is as it was at `mark`, but for the numbers given."""
        while len(self._undo) > mark:
            self._undo.pop()()

    def commit(self) -> None:
        """From here there is no way back."""
        self._undo.clear()

    def holding(self, session: str) -> Iterator[tuple[Slot, set[str]]]:
        """The slots of a session that run something, with the ids."""
        return iter(self.held.get(session, {}).items())

    def _change(self, old: Row | None, new: Row | None) -> None:
        self._swap(old, new)
        self._undo.append(partial(self._swap, new, old))

    def _swap(self, old: Row | None, new: Row | None) -> None:
        if old is not None:
            self._leave(old)
            del self.rows[old.id]
        if new is not None:
            self.rows[new.id] = new
            self._enter(new)

    def _enter(self, row: Row) -> None:
        place = row.place()
        self.lines[row.state].setdefault(row.type, Ordered()).add(place)
        if row.due is not None:
            self.due.add(place)
        elif row.slot is not None:
            self.held.setdefault(row.slot.session, {}).setdefault(row.slot, set()).add(row.id)
        elif row.expires is not None:
            self.expiring.add((row.expires, row.n, row.id))

    def _leave(self, row: Row) -> None:
        place = row.place()
        lines = self.lines[row.state]
        lines[row.type].remove(place)
        if not lines[row.type]:
            del lines[row.type]
        if row.due is not None:
            self.due.remove(place)
        elif row.slot is not None:
            self._let_go(row.slot, row.id)
        elif row.expires is not None:
            self.expiring.remove((row.expires, row.n, row.id))

    def _let_go(self, slot: Slot, id_: str) -> None:
        slots = self.held[slot.session]
        slots[slot].remove(id_)
        if not slots[slot]:
            del slots[slot]
        if not slots:
            del self.held[slot.session]

    def _change_tombstone(self, old: Tombstone | None, new: Tombstone | None) -> None:
        self._swap_tombstone(old, new)
        self._undo.append(partial(self._swap_tombstone, new, old))

    def _swap_tombstone(self, old: Tombstone | None, new: Tombstone | None) -> None:
        if old is not None:
            self.fading.remove(old.place())
            del self.tombstones[old.id]
        if new is not None:
            self.tombstones[new.id] = new
            self.fading.add(new.place())

    def _assign(self, table: dict[K, V], key: K, value: V | None) -> None:
        self._undo.append(partial(_set, table, key, table.get(key)))
        _set(table, key, value)


def _set(table: dict[K, V], key: K, value: V | None) -> None:
    if value is None:
        table.pop(key, None)
    else:
        table[key] = value
