"""The store's door: opens the database, begins transactions, answers questions."""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from types import TracebackType
from typing import Literal

from qm.errors import Draining, NotCommitted, QueueError, StoreError
from qm.messages import ListQuery, PackedPage, Slot, WorkerInfo
from qm.store.base import Alone, Held
from qm.store.postgres.address import Address
from qm.store.postgres.connection import Connection
from qm.store.postgres.faults import useless
from qm.store.postgres.ledger import Entry, Ledger
from qm.store.postgres.link import Link, OnBroken
from qm.store.postgres.readers import Readers
from qm.store.postgres.reading import PostgresReader
from qm.store.postgres.schema import migrate
from qm.store.postgres.transaction import PostgresTransaction
from qm.task import Lease, PackedAttempt, PackedTask, State

Durability = Literal["full", "relaxed"]


class PostgresStore(Alone):
    """Tasks in a PostgreSQL database. One process manages it; its threads share one writing connection and
    take
    turns, while reads go by connections of their own and wait for nobody.
    """

    kind: str = "postgresql"

    def __init__(self, address: Address, link: Link) -> None:
        self.address = address
        self._link = link
        self._turn = threading.Lock()
        self._ledger = Ledger()
        self._read_by: Connection | None = None
        self._closed = False
        self._readers = Readers(address)
        self._reader = PostgresReader(self._readers, self._ledger.counts)

    @classmethod
    def open(cls, url: str, *, durability: Durability = "full", may_migrate: bool = True) -> PostgresStore:
        """Opens the store in the database at `url`, and makes its tables where they are not there.

        `durability` "full": what is acknowledged survives a power cut. "relaxed": a power cut of the server
        may undo the last moments. `may_migrate` False: `StoreTooOld` instead of a migration. Raises
        `BadRequest` for a URL that cannot be read, `StoreBusy` where another manager has the database, and
        what `qm.store.postgres.schema` raises.
        """
        address = Address(url)
        link = Link(address, relaxed=durability == "relaxed")
        try:
            migrate(link.take().db, address, allowed=may_migrate)
            store = cls(address, link)
        except BaseException:
            link.close()
            raise
        link.start()
        try:
            with store.begin(sync=False):  # reads the counts
                pass
        except BaseException:
            store.close()
            raise
        return store

    def listen(self, on_broken: OnBroken) -> None:
        """Has `on_broken` told when the store is lost to another manager."""
        self._link.listen(on_broken)

    def begin(self, *, sync: bool = True) -> _Turn:
        return _Turn(self, sync)

    def get(self, ids: Sequence[str]) -> Generator[PackedTask | None, None, None]:
        self._check_there()
        return self._reader.get(ids)

    def list(self, query: ListQuery) -> PackedPage:
        self._check_there()
        return self._readers.snapshot(lambda desk: PostgresReader(desk, self._ledger.counts).list(query))

    def counts(self) -> dict[str, dict[State, int]]:
        return self._ledger.counts()

    def waiting(self, types: Sequence[str]) -> int:
        return self._ledger.waiting(types)

    def held(self, slot: Slot | None = None, *, session: str | None = None) -> Sequence[Held]:
        self._check_there()
        return self._reader.held(slot, session=session)

    def leased(self, leases: Sequence[Lease]) -> Sequence[Held | None]:
        self._check_there()
        return self._reader.leased(leases)

    def cancelling(self, ids: Sequence[str] | None = None) -> Sequence[tuple[str, Lease]]:
        self._check_there()
        return self._reader.cancelling(ids)

    def attempts(self, id: str, before: int | None = None) -> Sequence[PackedAttempt]:
        self._check_there()
        return self._reader.attempts(id, before)

    def sessions(self) -> Sequence[WorkerInfo]:
        self._check_there()
        return self._reader.sessions()

    def next_due(self) -> float | None:
        self._check_there()
        return self._reader.next_due()

    def next_expiry(self) -> float | None:
        self._check_there()
        return self._reader.next_expiry()

    def close(self) -> None:
        with self._turn:
            if self._closed:
                return
            self._closed = True
            self._link.close()
        self._readers.close()

    def _begin(self, sync: bool) -> PostgresTransaction:
        self._check_open()
        connection = self._link.take()
        try:
            if connection is not self._read_by:
                self._ledger.read(connection)
                self._read_by = connection
            self._ledger.fold(connection)
            connection.begin(*(() if sync else ("SET LOCAL synchronous_commit = off",)))
        except QueueError as error:
            self._judge(connection, error)
            raise
        return PostgresTransaction(connection, Entry(self._ledger, connection))

    def _end(self, tx: PostgresTransaction, error: BaseException | None) -> None:
        """Commits, or rolls back. Raises `NotCommitted`, and then it is rolled back or its end is unknown."""
        try:
            if error is None:
                self._commit(tx)
        except BaseException as failure:
            error = failure
            raise
        finally:
            if tx.connection.in_transaction:
                self._roll_back(tx.connection)
            self._judge(tx.connection, error)
        if error is None:
            tx.entry.apply()

    def _commit(self, tx: PostgresTransaction) -> None:
        if not tx.connection.good or not self._link.holds(tx.connection):
            raise NotCommitted("the store could not commit: the transaction was undone", hint="try again")
        try:
            tx.entry.write()
            tx.connection.commit()
        except QueueError as error:
            raise NotCommitted(f"the store could not commit: {error}", hint="try again") from error

    def _roll_back(self, connection: Connection) -> None:
        try:
            connection.roll_back()
        except QueueError:
            self._link.drop(connection)  # the server undoes what a lost connection had begun

    def _judge(self, connection: Connection, error: BaseException | None) -> None:
        """Has a connection replaced that is of no use any more."""
        if useless(connection.db, error) or not self._link.holds(connection):
            self._link.drop(connection)

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("the store is closed")
        if self._link.over is not None:
            raise Draining(f"the manager is stopping: {self._link.over}", hint="try again when it is back")

    def _check_there(self) -> None:
        """As `_check_open`, and with no wait for a pool that waits for a server that is away."""
        self._check_open()
        self._link.wait()


class _Turn:
    """A transaction under the writers' turn."""

    __slots__ = ("_store", "_sync", "_tx")

    def __init__(self, store: PostgresStore, sync: bool) -> None:
        self._store = store
        self._sync = sync

    def __enter__(self) -> PostgresTransaction:
        self._store._turn.acquire()
        try:
            self._tx = self._store._begin(self._sync)
        except BaseException:
            self._store._turn.release()
            raise
        return self._tx

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._store._end(self._tx, error)
        finally:
            self._store._turn.release()
