"""A file as an end of a copy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import apsw
import msgspec

from qm.errors import DiskFull, StoreError
from qm.store.moving.ends import Counts, Row
from qm.store.moving.tables import COPIED, Table
from qm.store.sql.unready import MARK_TABLE, Mark, decode_mark, encode_mark, too_old
from qm.store.sqlite.file import open_reader, open_writer
from qm.store.sqlite.health import damaged, is_full
from qm.store.sqlite.lock import FileLock
from qm.store.sqlite.preflight import check_files, why_not
from qm.store.sqlite.schema import mark_of, missing, refuse_unfinished, strange_tables

#: Page cache of a file that is written, in KiB: the ends of all its indexes, and room for ids out of order.
_CACHE_KIB: Final = 131_072


class SQLiteSource:
    """See `qm.store.moving.ends.Source`."""

    keeps_nul: Final = True

    def __init__(self, path: Path) -> None:
        """Raises `StoreBusy` where a manager has the file, `StoreTooOld`, and what `qm.store.sqlite.check`
        raises for one that is not good."""
        self.path = path.resolve()
        self.shown = f"sqlite:{self.path}"
        if not path.is_file():
            raise StoreError(f"there is no store {path}", hint="give another SOURCE")
        self._lock = _locked(self.path)
        try:
            check_files(self.path, self._lock.inode, self._lock.made)
            with self._explained():
                self._db = self._open()
        except BaseException:
            self._lock.release()
            raise

    def rows(self, table: Table, after: Row | None = None) -> Iterator[Row]:
        key, columns = ", ".join(table.key), ", ".join(table.columns)
        behind = f"WHERE ({key}) > ({', '.join('?' * len(after))})" if after else ""
        with self._explained():
            yield from self._db.execute(
                f"SELECT {columns} FROM {table.name} {behind} ORDER BY {key}", after or ()
            )

    def size(self, table: Table) -> int:
        return int(self._one(f"SELECT count(*) FROM {table.name}")[0])

    def count(self) -> Counts:
        return self._counts("SELECT type, state, count(*) FROM tasks GROUP BY type, state")

    def number(self) -> int:
        return int(self._one("SELECT max(reserved) FROM numbers")[0])

    def close(self) -> None:
        self._db.close()
        self._lock.release()

    def _open(self) -> apsw.Connection:
        db = open_reader(self.path)
        try:
            refuse_unfinished(db, self.path)
            if steps := missing(db, self.path):
                raise too_old(self.shown, steps)
            if strange := strange_tables(db):
                raise damaged(self.path, f"its tables are not ours: {', '.join(strange)}")
            db.execute("BEGIN")
        except BaseException:
            db.close()
            raise
        return db

    def _one(self, sql: str) -> Row:
        with self._explained():
            return tuple(next(self._db.execute(sql)))

    def _counts(self, sql: str) -> Counts:
        with self._explained():
            return {(name, state): tasks for name, state, tasks in self._db.execute(sql) if tasks}

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (apsw.CorruptError, apsw.NotADBError, apsw.SQLError, UnicodeDecodeError) as error:
            raise damaged(self.path, str(error)) from error
        except apsw.Error as error:
            if is_full(error):
                raise DiskFull(
                    f"no space for the copy {self.path}: {error}",
                    hint="make space, then say it again: it goes on",
                ) from error
            raise StoreError(
                f"the copy stopped at {self.path}: {error}", hint="say it again: it goes on"
            ) from error


class SQLiteTarget(SQLiteSource):
    """See `qm.store.moving.ends.Target`."""

    def __init__(self, path: Path) -> None:
        """Makes the file where there is none. Raises as `SQLiteSource` and `open_writer`."""
        self.path = path.resolve()
        self.shown = f"sqlite:{self.path}"
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise why_not(self.path, error) from error
        self._lock = _locked(self.path)
        try:
            check_files(self.path, self._lock.inode, self._lock.made)
            self._db = open_writer(self.path, unfinished=True)
            self._db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            # a power cut may undo the last chunks, whole: they come again
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._lock.note_opened()
        except BaseException:
            self._lock.release()
            raise

    def mark(self) -> Mark | None:
        with self._explained():
            text = mark_of(self._db)
        try:
            return decode_mark(text) if text else None
        except msgspec.MsgspecError as error:
            raise damaged(self.path, str(error)) from error

    def begin(self, mark: Mark) -> None:
        with self._explained(), self._db:
            self._db.execute(f"CREATE TABLE {MARK_TABLE} (mark TEXT NOT NULL) STRICT")
            self._db.execute(f"INSERT INTO {MARK_TABLE} VALUES (?)", (encode_mark(mark),))

    def clear(self) -> None:
        with self._explained(), self._db:
            for name in (*(table.name for table in COPIED), "counts"):
                self._db.execute(f"DELETE FROM {name}")
            self._db.execute(f"DROP TABLE {MARK_TABLE}")

    def last(self, table: Table) -> Row | None:
        order = ", ".join(f"{name} DESC" for name in table.key)
        with self._explained():
            found = self._db.execute(
                f"SELECT {', '.join(table.key)} FROM {table.name} ORDER BY {order} LIMIT 1"
            ).fetchall()
        return tuple(found[0]) if found else None

    def append(self, table: Table, rows: Iterable[Row]) -> int:
        before = self._db.total_changes()
        given = ", ".join("?" * len(table.columns))
        with self._explained(), self._db:
            self._db.executemany(
                f"INSERT INTO {table.name} ({', '.join(table.columns)}) VALUES ({given})", rows
            )
        return self._db.total_changes() - before

    def settle(self, number: int) -> None:
        with self._explained(), self._db:
            self._db.execute("DELETE FROM counts")
            self._db.execute(
                "INSERT INTO counts SELECT type, state, count(*) FROM tasks GROUP BY type, state"
            )
            self._db.execute("UPDATE numbers SET reserved = max(reserved, ?)", (number,))

    def kept_counts(self) -> Counts:
        return self._counts("SELECT type, state, tasks FROM counts")

    def finish(self) -> None:
        with self._explained():
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute(f"DROP TABLE {MARK_TABLE}")

    def close(self) -> None:
        if not self._lock.note_closing():
            self._db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        super().close()


def _locked(path: Path) -> FileLock:
    try:
        return FileLock(path)
    except OSError as error:
        raise why_not(path, error) from error
