"""What can be asked of the tables without changing them."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from qm.errors import BadRequest
from qm.limits import BATCH_BYTES, RECORDS_MAX
from qm.messages import ListQuery, PackedPage, Slot, WorkerInfo
from qm.store.base import Held
from qm.store.memory.pages import page
from qm.store.memory.rows import Row
from qm.store.memory.tables import Tables
from qm.store.memory.view import attempt, view
from qm.task import Lease, PackedAttempt, PackedTask, State


class Reading:
    """The `Reader` verbs over tables that do not change meanwhile."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def get(self, ids: Sequence[str]) -> Generator[PackedTask | None, None, None]:
        for id_ in ids:
            row = self._tables.rows.get(id_)
            yield None if row is None else view(self._tables, row)

    def list(self, query: ListQuery) -> PackedPage:
        return page(self._tables, query)

    def counts(self) -> dict[str, dict[State, int]]:
        found: dict[str, dict[State, int]] = {}
        for state, lines in self._tables.lines.items():
            for type_, line in lines.items():
                found.setdefault(type_, {})[state] = len(line)
        return found

    def waiting(self, types: Sequence[str]) -> int:
        lines = self._tables.lines.get(State.WAITING, {})
        return sum(len(lines[name]) for name in set(types) if name in lines)

    def held(self, slot: Slot | None = None, *, session: str | None = None) -> Sequence[Held]:
        of = slot.session if slot else session
        if of is None:
            raise BadRequest("whose tasks? name a slot or a session")
        holding = self._tables.holding(of)
        ids = [id_ for one, some in holding if slot is None or slot.succeeds(one) for id_ in some]
        rows = sorted((self._tables.rows[id_] for id_ in ids), key=_taken)
        return [held for row in rows if (held := self._held(row))]

    def leased(self, leases: Sequence[Lease]) -> Sequence[Held | None]:
        rows = ((lease, self._tables.rows.get(lease.id)) for lease in leases)
        return [self._held(row) if row and row.lease == lease else None for lease, row in rows]

    def cancelling(self, ids: Sequence[str] | None = None) -> Sequence[tuple[str, Lease]]:
        rows = self._tables.rows
        named = rows.values() if ids is None else [rows[id_] for id_ in dict.fromkeys(ids) if id_ in rows]
        return [(row.slot.session, row.lease) for row in named if row.cancelling and row.slot and row.lease]

    def attempts(self, id: str, before: int | None = None) -> Sequence[PackedAttempt]:
        row = self._tables.rows.get(id)
        found: list[PackedAttempt] = []
        size = 0
        newest = 0 if row is None else row.attempt if before is None else min(row.attempt, before - 1)
        for number in range(newest, 0, -1):
            record = self._tables.records.get((row.n, number)) if row else None
            if record is None:  # it runs
                continue
            one = attempt(record)
            size += len(one.log.encode()) + len(one.error or b"")
            if found and (size > BATCH_BYTES or len(found) == RECORDS_MAX):
                break
            found.append(one)
        return found

    def sessions(self) -> Sequence[WorkerInfo]:
        return [*self._tables.workers.values()]

    def next_due(self) -> float | None:
        return self._tables.due.first()[0] if self._tables.due else None

    def next_expiry(self) -> float | None:
        return self._tables.expiring.first()[0] if self._tables.expiring else None

    def _held(self, row: Row) -> Held | None:
        if row.lease is None or row.started is None:
            return None
        options = self._tables.options.get(row.type)
        attempts = options.attempts if row.attempts is None and options else row.attempts
        return Held(
            lease=row.lease,
            type=row.type,
            failures=row.failures,
            crashes=row.crashes,
            lost=row.lost,
            attempts=attempts,
            started=row.started,
            cancelling=row.cancelling,
        )


def _taken(row: Row) -> tuple[float, float, int]:
    """The order in which running tasks were taken."""
    return (row.started or 0.0, -row.priority, row.seq)
