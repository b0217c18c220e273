"""A connection that runs the named queries of `qm.store.sql`.

In a transaction it is pipelined: what has no answer to wait for (BEGIN, savepoints, records, counts) travels
with the next statement that has one. An add and its commit are two round trips and not four.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from typing import Any, NoReturn

import psycopg
from psycopg.pq import TransactionStatus

from qm.errors import NotCommitted, QueueError
from qm.store.postgres.faults import told
from qm.store.postgres.statements import register, statements
from qm.store.sql.part import Row


class Connection:
    """One connection and its prepared statements. Used by one thread at a time. Its errors are those of
    `qm.store.postgres.faults`; after one, the rest of a transaction is no longer pipelined."""

    def __init__(self, db: psycopg.Connection[Any]) -> None:
        self.db = db
        register(db)
        self._statements = statements()
        self._cursor = psycopg.RawCursor(db)
        self._silent = psycopg.RawCursor(db)
        self._pipeline: AbstractContextManager[psycopg.Pipeline] | None = None
        #: Something was sent whose success nobody has seen.
        self._unseen = False

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open, be it one that can only be rolled back."""
        return self._pipeline is not None or self.db.pgconn.transaction_status in (
            TransactionStatus.INTRANS,
            TransactionStatus.INERROR,
        )

    @property
    def good(self) -> bool:
        """Whether a transaction is open that can still be committed, as far as we have seen."""
        return self._pipeline is not None or self.db.pgconn.transaction_status == TransactionStatus.INTRANS

    def begin(self, *settings: str) -> None:
        """Opens a transaction, with statements that set how it is."""
        try:
            pipeline = self.db.pipeline()
            pipeline.__enter__()
        except psycopg.Error as error:
            raise told(error) from error
        self._pipeline = pipeline
        self.execute("BEGIN", *settings)

    def commit(self) -> None:
        """Raises `NotCommitted` where the transaction was undone, or its end is unknown."""
        self.execute("COMMIT")
        self._leave()
        # another answer is the server's for a transaction that had failed: no error to it
        if self._silent.statusmessage != "COMMIT":
            raise NotCommitted("the transaction was undone", hint="try again")

    def roll_back(self, savepoint: str | None = None) -> None:
        """Undoes the transaction, or what followed the savepoint. Not pipelined: psycopg prepares its
        statements anew after a ROLLBACK, and takes those that were sent behind it for prepared."""
        with suppress(QueueError):  # of what is undone now; a connection that is lost shows below
            self._leave()
        if self.in_transaction:
            self.execute(f"ROLLBACK TO {savepoint}" if savepoint else "ROLLBACK")

    def execute(self, *statements: str) -> None:
        """Runs SQL without parameters or answers."""
        try:
            for sql in statements:
                self._silent.execute(sql.encode())
        except psycopg.Error as error:
            self._fail(error)
        self._unseen = True

    def run(self, name: str, args: Sequence[Any] = ()) -> list[Row]:
        """The rows of the named query. Raises `BadRequest` where the database refuses a value, at the latest
        from `check`."""
        statement = self._statements[name]
        cursor = self._cursor if statement.answers else self._silent
        parameters = statement.parameters(args)
        try:
            cursor.execute(statement.text, parameters, prepare=True, binary=True)
            if statement.answers:
                self._unseen = False
                return cursor.fetchall()
        except psycopg.Error as error:
            self._fail(error)
        self._unseen = True
        return []

    def check(self) -> None:
        """Raises what was wrong with a statement that has no answer. Costs a round trip if there was one
        since the last answer."""
        if self._unseen and self._pipeline is not None:
            try:
                self._cursor.execute(b"SELECT 1").fetchall()
            except psycopg.Error as error:
                self._fail(error)
        self._unseen = False

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

    def _fail(self, error: psycopg.Error) -> NoReturn:
        """What follows is not sent along any more, so that each error is that of its statement."""
        with suppress(QueueError):  # the same once more, for the statements that were sent behind it
            self._leave()
        raise told(error) from error

    def _leave(self) -> None:
        """Ends the pipeline: all that was sent is answered. Raises the first error of it."""
        pipeline, self._pipeline = self._pipeline, None
        if pipeline is not None:
            try:
                pipeline.__exit__(None, None, None)
            except psycopg.Error as error:
                raise told(error) from error
