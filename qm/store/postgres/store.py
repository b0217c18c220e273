"""The store's door: opens the database, begins transactions, answers questions."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Literal

from qm.errors import Draining, NotCommitted, QueueError, StoreError
from qm.messages import ListQuery, PackedPage, Slot, WorkerInfo
from qm.store.base import Alone, Held
from qm.store.postgres.address import Address
from qm.store.postgres.connection import Connection
from qm.store.postgres.faults import useless
from qm.store.postgres.ledger import Entry, Ledger
from qm.store.postgres.line import Line
from qm.store.postgres.link import Link, OnBroken
from qm.store.postgres.presence import Presence
from qm.store.postgres.readers import Readers
from qm.store.postgres.reading import PostgresReader
from qm.store.postgres.schema import migrate
from qm.store.postgres.transaction import PostgresTransaction
from qm.store.shared import Hints, Sight, Wants
from qm.task import Lease, PackedAttempt, PackedTask, State

_log = logging.getLogger(__name__)

Durability = Literal["full", "relaxed"]


class PostgresStore(Alone):
    """Tasks in a PostgreSQL database, as one of its managers has them. The threads of a manager share one
    writing connection and take turns, while reads go by connections of their own and wait for nobody.
    """

    kind: str = "postgresql"

    def __init__(self, address: Address, link: Link, line: Line, manager: int) -> None:
        self.address = address
        self._link = link
        self._line = line
        self._manager = manager
        self._turn = threading.Lock()
        self._ledger = Ledger()
        self._read_by: Connection | None = None
        self._presence = Presence(manager, line)
        self._closed = False
        self._readers = Readers(address)
        self._reader = PostgresReader(self._readers, self._ledger.counts)

    @classmethod
    def open(cls, url: str, *, durability: Durability = "full", may_migrate: bool = True) -> PostgresStore:
        """Opens the store in the database at `url`, and makes its tables where they are not there.

        `durability` "full": what is acknowledged survives a power cut. "relaxed": a power cut of the server
        may undo the last moments. `may_migrate` False: `StoreTooOld` instead of a migration. Raises
        `BadRequest` for a URL that cannot be read, `StoreBusy` where a copy has the database, and what
        `qm.store.postgres.schema` raises.
        """
        address = Address(url)
        manager = secrets.randbits(63)
        with ExitStack() as steps:
            link = Link(address, relaxed=durability == "relaxed")
            steps.callback(link.close)
            migrate(link.take().db, address, allowed=may_migrate)
            link.serve()
            line = Line(address, manager)
            steps.callback(line.close)
            store = cls(address, link, line, manager)
            steps.callback(store._readers.close)
            with store.begin(sync=False) as tx:  # reads the counts
                store._presence.live(tx.connection, Wants(False, False), 0)
            line.announce()
            steps.pop_all()
        return store

    def listen(self, on_broken: OnBroken) -> None:
        """Has `on_broken` told when the store cannot be used any more."""
        self._link.listen(on_broken)

    @property
    def shared(self) -> PostgresStore:
        return self

    @property
    def leads(self) -> bool:
        return self._line.leads

    def listen_to(self, hear: Callable[[Hints], None]) -> None:
        def hear_and_believe(hints: Hints) -> None:
            self._ledger.believe(hints.waiting)
            hear(hints)

        self._line.listen_to(hear_and_believe)

    def tell(self, hints: Hints) -> None:
        self._line.tell(hints)

    def want(self, wants: Wants) -> None:
        self._line.want(wants)

    def look(self, wants: Wants, ended: int, see: Callable[[Sight], None]) -> None:
        with self._turn:
            self._read_by = None  # the counts are read anew
        with self.begin(sync=False) as tx:
            sight = self._presence.look(tx.connection, wants, ended)
            see(sight)
        self._presence.seen()

    def ended(self, ids: Sequence[str]) -> Sequence[str]:
        self._check_open()
        return [id_ for (id_,) in self._readers.run("ended", (ids,))]

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
            with suppress(QueueError):  # then others find it out
                self._link.take().run("leave", (self._manager,))
            self._line.announce()
            self._line.close()
            self._link.close()
        self._readers.close()

    def _begin(self, sync: bool) -> PostgresTransaction:
        self._check_open()
        connection = self._link.take()
        try:
            if connection is not self._read_by:
                self._ledger.read(connection)
                self._read_by = connection
            if self._line.leads:
                self._fold(connection)
            connection.begin(*(() if sync else ("SET LOCAL synchronous_commit = off",)))
        except QueueError as error:
            self._judge(connection, error)
            raise
        entry = Entry(self._ledger, connection)
        return PostgresTransaction(connection, entry, self._manager, self._line.has_others)

    def _fold(self, connection: Connection) -> None:
        """The differences count as well as their sums: what cannot be summed up now fails nobody's call."""
        try:
            self._ledger.fold(connection)
        except QueueError as error:
            if useless(connection.db, error):
                raise
            _log.warning("the counts could not be summed up: %s", error)

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
        if not tx.connection.good:
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
        if useless(connection.db, error):
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
