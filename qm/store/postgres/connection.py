"""A connection that runs the named queries of `qm.store.sql`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from qm.store.postgres.faults import told
from qm.store.postgres.statements import register, statements
from qm.store.sql.part import Row


class Connection:
    """One connection and its prepared statements. Used by one thread at a time. Its errors are those of
    `qm.store.postgres.faults`."""

    def __init__(self, db: psycopg.Connection[Any]) -> None:
        self.db = db
        register(db)
        self._statements = statements()
        self._cursor = psycopg.RawCursor(db)

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open, be it one that can only be rolled back."""
        return self.db.pgconn.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR)

    @property
    def good(self) -> bool:
        """Whether a transaction is open that can still be committed."""
        return self.db.pgconn.transaction_status == TransactionStatus.INTRANS

    def execute(self, sql: str) -> str:
        """Runs SQL without parameters, one statement or several. Gives what the server says was done last."""
        try:
            self._cursor.execute(sql.encode())
            while self._cursor.nextset():
                pass
        except psycopg.Error as error:
            raise told(error) from error
        return self._cursor.statusmessage or ""

    def run(self, name: str, args: Sequence[Any] = ()) -> list[Row]:
        """The rows of the named query. Raises `BadRequest` where the database refuses a value."""
        statement = self._statements[name]
        try:
            self._cursor.execute(statement.text, statement.parameters(args), prepare=True, binary=True)
            return self._cursor.fetchall() if self._cursor.description else []
        except psycopg.Error as error:
            raise told(error) from error

    def run_many(self, name: str, rows: Iterable[Row], extra: Row = ()) -> list[Row]:
        """The rows of the named query over a batch: a parameter for each column of `rows`, then `extra`."""
        columns = [*zip(*rows, strict=True)]
        return self.run(name, (*columns, *extra)) if columns else []

    def iterate_rows(self, name: str, values: Sequence[Any], extra: Row = ()) -> Iterator[Row]:
        """The rows of the named query over one batch of a single column."""
        return iter(self.run(name, (values, *extra)))

    def close(self) -> None:
        """Closes the connection."""
        self.db.close()
