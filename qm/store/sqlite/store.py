"""The store's door: opens the file, begins transactions, answers questions."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Literal

import apsw
import msgspec

from qm.errors import DiskFull, NotCommitted, QueueError, StoreError
from qm.messages import ListQuery, PackedPage, Slot, WorkerInfo
from qm.store.base import Alone, Held
from qm.store.sqlite.checkpoint import Checkpointer
from qm.store.sqlite.connection import Connection
from qm.store.sqlite.file import open_reader, open_writer
from qm.store.sqlite.health import Health, damaged
from qm.store.sqlite.ledger import Entry, Ledger
from qm.store.sqlite.lock import FileLock
from qm.store.sqlite.preflight import check_files, why_not
from qm.store.sqlite.reading import SQLiteReader
from qm.store.sqlite.reserve import Reserve
from qm.store.sqlite.transaction import SQLiteTransaction
from qm.task import Lease, PackedAttempt, PackedTask, State

Durability = Literal["full", "relaxed"]

#: Reading connections at once. Each has two descriptors, of the 128 that a manager's connections leave to all
#: else, and up to 2 MiB of pages; more would only wait for the same processors.
_READERS_MAX: Final = 32


class SQLiteStore(Alone):
    """Tasks in one SQLite file. One process owns it; its threads share one writing connection and take turns,
    while reads go by connections of their own and wait for no writer.
    """

    kind: str = "sqlite"

    def __init__(
        self, path: Path, lock: FileLock, reserve: Reserve, db: apsw.Connection, durability: Durability
    ) -> None:
        self.path = path
        #: Whether its disk is good, and who hears when it is not.
        self.health = Health(path, reserve)
        self._file_lock = lock
        self._reserve = reserve
        self._connection = Connection(db, self.health)
        self._relaxed = durability == "relaxed"
        self._synced: bool | None = None
        self._turn = threading.Lock()
        self._ledger = Ledger(self._connection)
        self._checkpointer = Checkpointer(path, self._turn, self.health)
        self._checkpointer.watch(db)
        self._checkpointer.start()
        self._readers: list[SQLiteReader] = []
        self._reading = threading.Semaphore(_READERS_MAX)
        self._closed = False

    @classmethod
    def open(
        cls, path: Path | str, *, durability: Durability = "full", may_migrate: bool = True
    ) -> SQLiteStore:
        """Opens the store at `path`, or makes it.

        `durability` "full": what is acknowledged survives a power cut. "relaxed": a power cut may undo the
        last moments; a crash of the program still loses nothing. Raises what `qm.store.sqlite.file` raises.
        """
        path = Path(path)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = FileLock(path)
        except OSError as error:
            raise why_not(path, error) from error
        with ExitStack() as undo:
            undo.callback(lock.release)
            check_files(path, lock.inode, lock.made)
            reserve = Reserve(path)
            undo.callback(reserve.remove)
            db = _open_by_reserve(path, reserve, may_migrate)
            try:
                store = cls(path, lock, reserve, db, durability)
            except (NotCommitted, ValueError, msgspec.MsgspecError) as error:  # rows that make no sense
                raise damaged(path, str(error)) from error
            undo.pop_all()  # it has them now
            undo.callback(store.close)
            store._settle_in()
            undo.pop_all()
        return store

    def begin(self, *, sync: bool = True) -> _Turn:
        return _Turn(self, sync)

    def get(self, ids: Sequence[str]) -> Generator[PackedTask | None, None, None]:
        with self._reader() as reader:
            yield from reader.get(ids)

    def list(self, query: ListQuery) -> PackedPage:
        with self._reader() as reader, reader.snapshot():
            return reader.list(query)

    def counts(self) -> dict[str, dict[State, int]]:
        return self._ledger.counts()

    def waiting(self, types: Sequence[str]) -> int:
        return self._ledger.waiting(types)

    def held(self, slot: Slot | None = None, *, session: str | None = None) -> Sequence[Held]:
        with self._reader() as reader:
            return reader.held(slot, session=session)

    def leased(self, leases: Sequence[Lease]) -> Sequence[Held | None]:
        with self._reader() as reader:
            return reader.leased(leases)

    def cancelling(self, ids: Sequence[str] | None = None) -> Sequence[tuple[str, Lease]]:
        with self._reader() as reader:
            return reader.cancelling(ids)

    def attempts(self, id: str, before: int | None = None) -> Sequence[PackedAttempt]:
        with self._reader() as reader:
            return reader.attempts(id, before)

    def sessions(self) -> Sequence[WorkerInfo]:
        with self._reader() as reader:
            return reader.sessions()

    def next_due(self) -> float | None:
        with self._reader() as reader:
            return reader.next_due()

    def next_expiry(self) -> float | None:
        with self._reader() as reader:
            return reader.next_expiry()

    def close(self) -> None:
        with self._turn:
            if self._closed:
                return
            self._closed = True
        self._checkpointer.stop()
        with self._turn:
            while self._readers:
                self._readers.pop().connection.close()
            if self.health.broken is not None or not self._file_lock.note_closing():
                # the log stays for the next manager: what we would move may not be what the disk has
                self._connection.db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            self._connection.close()  # the last connection checkpoints the log and removes it
            self._reserve.remove()
            self._file_lock.release()

    def _settle_in(self) -> None:
        """Notes that it is open, sets space aside, and reads what a manager reads when it starts. Raises
        `StoreDamaged` where that cannot be understood, `StoreError`."""
        try:
            self._file_lock.note_opened()
            self._reserve.make()
            self.sessions()
            self.cancelling()
        except OSError as error:
            raise why_not(self.path, error) from error
        except (NotCommitted, ValueError, msgspec.MsgspecError) as error:
            raise damaged(self.path, str(error)) from error

    def _begin(self, sync: bool) -> SQLiteTransaction:
        self._check_open()
        self._set_synchronous(sync and not self._relaxed)
        self._ledger.top_up()
        self._connection.execute("BEGIN IMMEDIATE")
        return SQLiteTransaction(self._connection, self._ledger.entry(), self._reserve)

    def _end(self, entry: Entry, good: bool) -> None:
        """Commits, or rolls back. Raises `NotCommitted`, and then it is rolled back."""
        try:
            if good:
                self._commit(entry)
        finally:
            if self._connection.db.in_transaction:  # some errors have rolled it back already
                self._roll_back()
        if good:
            entry.apply()

    def _commit(self, entry: Entry) -> None:
        if not self._connection.db.in_transaction:  # a part of it met a full disk, and undid the whole
            raise NotCommitted("the store could not commit: the transaction was undone", hint="try again")
        try:
            entry.write()
            self._connection.execute("COMMIT")
        except (apsw.Error, StoreError) as error:
            raise NotCommitted(f"the store could not commit: {error}", hint="try again") from error
        self.health.check()  # another thread may have met it meanwhile: no word is good any more

    def _roll_back(self) -> None:
        """Whoever had an error keeps that: an undoing that fails in its turn ends the store."""
        try:
            self._connection.execute("ROLLBACK")
        except (apsw.Error, QueueError) as error:
            self.health.fail(f"what had failed could not be undone: {error}")

    def _set_synchronous(self, full: bool) -> None:
        """The level cannot change inside a transaction; changing it between two costs microseconds."""
        if full is not self._synced:
            self._connection.execute(f"PRAGMA synchronous = {'FULL' if full else 'NORMAL'}")
            self._synced = full

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("the store is closed")
        self.health.check()

    @contextmanager
    def _reader(self) -> Iterator[SQLiteReader]:
        """A reading connection from the pool. list.pop and append are atomic, so it needs no lock."""
        with self._reading:
            self._check_open()
            try:
                reader = self._readers.pop()
            except IndexError:
                reader = self._new_reader()
            try:
                yield reader
            finally:
                if self._closed:
                    reader.connection.close()
                else:
                    self._readers.append(reader)

    def _new_reader(self) -> SQLiteReader:
        try:
            db = open_reader(self.path)
        except apsw.Error as error:  # out of descriptors, mostly
            raise self.health.judge(error) from error
        return SQLiteReader(Connection(db, self.health), self._ledger.counts)


def _open_by_reserve(path: Path, reserve: Reserve, may_migrate: bool) -> apsw.Connection:
    """Opens the file; where there is no space for that, by what a killed manager had set aside."""
    try:
        return open_writer(path, may_migrate=may_migrate)
    except DiskFull:
        if not reserve.spend():
            raise
        return open_writer(path, may_migrate=may_migrate)


class _Turn:
    """A transaction under the writers' turn. A class, since a generator costs a task alone microseconds."""

    __slots__ = ("_store", "_sync", "_tx")

    def __init__(self, store: SQLiteStore, sync: bool) -> None:
        self._store = store
        self._sync = sync

    def __enter__(self) -> SQLiteTransaction:
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
            self._store._end(self._tx.entry, kind is None)
        finally:
            self._store._turn.release()
