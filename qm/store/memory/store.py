"""The store's door: one lock, held by a transaction to its end and by a question while it is asked."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager

from qm.errors import StoreError
from qm.messages import ListQuery, PackedPage, Slot, WorkerInfo
from qm.store.base import Alone, Held
from qm.store.memory.reading import Reading
from qm.store.memory.tables import Tables
from qm.store.memory.transaction import MemoryTransaction
from qm.task import Lease, PackedAttempt, PackedTask, State


class MemoryStore(Alone):
    """Tasks in this process's memory: as fast as Python is, and gone with the process.

    It keeps every other promise of a store. `sync` means nothing to it. Closing it forgets everything.
    """

    kind: str = "memory"

    def __init__(self) -> None:
        # Reentrant, so that a thread inside a transaction may also ask the store itself.
        self._lock = threading.RLock()
        self._tables: Tables | None = Tables()
        self._in_transaction = False

    @contextmanager
    def begin(self, *, sync: bool = True) -> Iterator[MemoryTransaction]:
        with self._open() as tables:
            if self._in_transaction:
                raise StoreError("this thread is in a transaction already", hint="use its savepoint()")
            transaction = MemoryTransaction(tables)
            self._in_transaction = True
            try:
                with transaction.savepoint():
                    yield transaction
            finally:
                self._in_transaction = False
                tables.commit()

    def get(self, ids: Sequence[str]) -> Generator[PackedTask | None, None, None]:
        for id_ in ids:
            with self._reading() as reading:
                task = next(reading.get([id_]))
            yield task

    def list(self, query: ListQuery) -> PackedPage:
        with self._reading() as reading:
            return reading.list(query)

    def counts(self) -> dict[str, dict[State, int]]:
        with self._reading() as reading:
            return reading.counts()

    def waiting(self, types: Sequence[str]) -> int:
        with self._reading() as reading:
            return reading.waiting(types)

    def held(self, slot: Slot | None = None, *, session: str | None = None) -> Sequence[Held]:
        with self._reading() as reading:
            return reading.held(slot, session=session)

    def leased(self, leases: Sequence[Lease]) -> Sequence[Held | None]:
        with self._reading() as reading:
            return reading.leased(leases)

    def cancelling(self, ids: Sequence[str] | None = None) -> Sequence[tuple[str, Lease]]:
        with self._reading() as reading:
            return reading.cancelling(ids)

    def attempts(self, id: str, before: int | None = None) -> Sequence[PackedAttempt]:
        with self._reading() as reading:
            return reading.attempts(id, before)

    def sessions(self) -> Sequence[WorkerInfo]:
        with self._reading() as reading:
            return reading.sessions()

    def next_due(self) -> float | None:
        with self._reading() as reading:
            return reading.next_due()

    def next_expiry(self) -> float | None:
        with self._reading() as reading:
            return reading.next_expiry()

    def close(self) -> None:
        with self._lock:
            self._tables = None

    @contextmanager
    def _open(self) -> Iterator[Tables]:
        with self._lock:
            if self._tables is None:
                raise StoreError("the store is closed")
            yield self._tables

    @contextmanager
    def _reading(self) -> Iterator[Reading]:
        with self._open() as tables:
            yield Reading(tables)
