"""A database as an end of a copy. It is read and written by the connection that holds the lock: who loses the
one has lost the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import msgspec
import psycopg
from psycopg import errors, sql

from qm.errors import DiskFull, StoreDamaged, StoreError, StoreTooNew
from qm.store.moving.ends import Counts, Row
from qm.store.moving.tables import COPIED, Table
from qm.store.postgres.address import Address
from qm.store.postgres.lock import SoleLock
from qm.store.postgres.schema import admit, mark_of, migrate
from qm.store.sql import migrations
from qm.store.sql.unready import MARK_TABLE, Mark, decode_mark, encode_mark, too_old

#: Beside what all our connections set: tables are walked along their keys for as long as that takes.
_SETTINGS: Final = (
    "SET enable_sort = off; SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0"
)

_TYPES: Final = """
SELECT attname, atttypid::bigint, format_type(atttypid, NULL) FROM pg_attribute
WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped
"""

_SUMS: Final = """
SELECT type, state, sum(tasks)::bigint
FROM (SELECT * FROM counts UNION ALL SELECT * FROM count_deltas) AS parts GROUP BY type, state
"""


class _Database:
    """What both ends do."""

    keeps_nul: Final = False

    def __init__(self, url: str) -> None:
        """Raises `StoreBusy` where a manager has the database, and what `qm.store.postgres.schema` raises."""
        self._address = Address(url)
        self.shown = str(self._address)
        self._lock = SoleLock(self._address)
        self._db: psycopg.Connection[Any] = self._lock.db
        try:
            with self._explained():
                self._db.execute(_SETTINGS.encode())
                self._admit()
                self._refuse_newer()
                self._types = {table: self._types_of(table) for table in COPIED}
        except BaseException:
            self._lock.release()
            raise

    def rows(self, table: Table, after: Row | None = None) -> Iterator[Row]:
        types = self._types[table]
        # a zero below zero is none to SQLite: both ends call it zero
        columns = [
            sql.SQL("{} + 0.0").format(name) if types[name.as_string()][1] == "double precision" else name
            for name in map(sql.Identifier, table.columns)
        ]
        key = sql.SQL(", ").join(map(sql.Identifier, table.key))
        behind: sql.Composable = sql.SQL("")
        if after:
            behind = sql.SQL("WHERE ({}) > ({})").format(key, sql.SQL(", ").join(map(sql.Literal, after)))
        query = sql.SQL("COPY (SELECT {} FROM {} {} ORDER BY {}) TO STDOUT (FORMAT BINARY)").format(
            sql.SQL(", ").join(columns), sql.Identifier(table.name), behind, key
        )
        with self._explained(), self._db.cursor().copy(query) as copy:
            copy.set_types(self._oids(table))
            yield from copy.rows()

    def size(self, table: Table) -> int:
        return int(self._one(f"SELECT count(*) FROM {table.name}")[0])

    def count(self) -> Counts:
        return self._counts("SELECT type, state, count(*) FROM tasks GROUP BY type, state")

    def number(self) -> int:
        return int(self._one("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM numbers")[0])

    def close(self) -> None:
        self._lock.release()

    def _admit(self) -> None:
        """Has the schema as it must be."""
        raise NotImplementedError

    def _refuse_newer(self) -> None:
        """A manager may go on over a newer schema that works with it; what is new there we cannot copy."""
        version, known = self._one("SELECT max(version) FROM migrations")[0], len(migrations("postgres"))
        if version > known:
            raise StoreTooNew(
                f"the store {self.shown} has schema {version}, this qmanager can copy {known}",
                hint="copy it by the newer qmanager",
            )

    def _types_of(self, table: Table) -> dict[str, tuple[int, str]]:
        return {
            f'"{name}"': (oid, shown)
            for name, oid, shown in self._db.execute(_TYPES, (f"qmanager.{table.name}",))
        }

    def _oids(self, table: Table) -> list[int]:
        return [self._types[table][f'"{name}"'][0] for name in table.columns]

    def _one(self, query: str) -> Row:
        with self._explained():
            row = self._db.execute(query.encode()).fetchone()
        assert row is not None
        return tuple(row)

    def _counts(self, query: str) -> Counts:
        with self._explained():
            return {(name, state): tasks for name, state, tasks in self._db.execute(query.encode()) if tasks}

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except errors.DiskFull as error:
            raise DiskFull(
                f"no space for the copy in {self.shown}: {error}",
                hint="make space, then say it again: it goes on",
            ) from error
        except psycopg.Error as error:
            said = " ".join(str(error).split()) or type(error).__name__
            raise StoreError(
                f"the copy stopped at {self.shown}: {said}", hint="say it again: it goes on"
            ) from error


class PostgresSource(_Database):
    """See `qm.store.moving.ends.Source`."""

    def _admit(self) -> None:
        steps = admit(self._db, self._address)
        if steps == migrations("postgres"):
            raise StoreError(f"there is no store {self.shown}", hint="give another SOURCE")
        if steps:
            raise too_old(self.shown, steps)
        self._db.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")


class PostgresTarget(_Database):
    """See `qm.store.moving.ends.Target`."""

    def mark(self) -> Mark | None:
        text = mark_of(self._db, self._address)
        try:
            return decode_mark(text) if text else None
        except msgspec.MsgspecError as error:
            raise StoreDamaged(f"the mark of the copy in {self.shown} cannot be read: {error}") from error

    def begin(self, mark: Mark) -> None:
        with self._explained(), self._db.transaction():
            self._db.execute(f"CREATE TABLE {MARK_TABLE} (mark TEXT NOT NULL)".encode())
            self._db.execute(f"INSERT INTO {MARK_TABLE} VALUES (%s)".encode(), (encode_mark(mark),))

    def clear(self) -> None:
        names = ", ".join((*(table.name for table in COPIED), "counts", "count_deltas"))
        with self._explained(), self._db.transaction():
            self._db.execute(f"TRUNCATE {names}; DROP TABLE {MARK_TABLE}".encode())

    def last(self, table: Table) -> Row | None:
        order = ", ".join(f"{name} DESC" for name in table.key)
        with self._explained():
            return self._db.execute(
                f"SELECT {', '.join(table.key)} FROM {table.name} ORDER BY {order} LIMIT 1".encode()
            ).fetchone()

    def append(self, table: Table, rows: Iterable[Row]) -> int:
        query = f"COPY {table.name} ({', '.join(table.columns)}) FROM STDIN (FORMAT BINARY)"
        number = 0
        with self._explained(), self._db.cursor().copy(query.encode()) as copy:
            copy.set_types(self._oids(table))
            for number, row in enumerate(rows, 1):  # noqa: B007
                copy.write_row(row)
        return number

    def settle(self, number: int) -> None:
        with self._explained(), self._db.transaction():
            self._db.execute(
                b"DELETE FROM counts; DELETE FROM count_deltas; "
                b"INSERT INTO counts SELECT type, state, count(*) FROM tasks GROUP BY type, state"
            )
            if number > self.number():
                self._db.execute(b"SELECT setval('numbers', %s)", (number,))

    def kept_counts(self) -> Counts:
        return self._counts(_SUMS)

    def finish(self) -> None:
        with self._explained():
            self._db.execute(f"ANALYZE {', '.join(table.name for table in COPIED)}".encode())
            with self._db.transaction():
                self._db.execute(f"SET LOCAL synchronous_commit = on; DROP TABLE {MARK_TABLE}".encode())

    def _admit(self) -> None:
        migrate(self._db, self._address, unfinished=True)
