"""A connection that runs the named queries of `qm.store.sql`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NoReturn

import apsw

from qm.errors import BadRequest
from qm.store.sql import queries
from qm.store.sql.part import Row
from qm.store.sqlite.health import Health

#: Rows per statement. Larger batches are cut: a statement's text is only kept prepared up to 16 KiB.
CHUNK: Final = 128


class Connection:
    """One SQLite connection and its prepared statements. Used by one thread at a time.

    What goes wrong with the file is raised as `Health.judge` has it.
    """

    def __init__(self, db: apsw.Connection, health: Health) -> None:
        self.db = db
        self._health = health
        self._queries = queries("sqlite")

    def execute(self, sql: str) -> None:
        """Runs SQL that is not a named query: BEGIN, COMMIT, pragmas."""
        try:
            self.db.execute(sql)
        except apsw.Error as error:
            self._raise(error)

    def run(self, name: str, args: Sequence[Any] = ()) -> list[Row]:
        """The rows of the named query. Raises `BadRequest` where a CHECK refuses a value."""
        return self._rows(self._queries[name].text(), args)

    def iterate(self, name: str, args: Sequence[Any] = ()) -> Iterator[Row]:
        """The rows of the named query, one by one."""
        return self._iterate(self._queries[name].text(), args)

    def iterate_rows(self, name: str, values: Sequence[Any], extra: Row = ()) -> Iterator[Row]:
        """The rows of the named query, one by one; each of `values` is a row of its template."""
        return self._iterate(self._queries[name].text(len(values)), (*values, *extra))

    def run_many(self, name: str, rows: Iterable[Row], extra: Row = ()) -> list[Row]:
        """The rows of the named query over a batch: `rows` fill its row template, `extra` what follows."""
        rows = tuple(rows)
        if len(rows) == 1:  # a task alone should not pay for the cutting
            return self.run(name, (*rows[0], *extra))
        found: list[Row] = []
        query = self._queries[name]
        for chunk in _chunks(rows):
            args = [value for row in chunk for value in row]
            found += self._rows(query.text(len(chunk)), (*args, *extra))
        return found

    def close(self) -> None:
        """Closes the connection."""
        self.db.close()

    def _rows(self, sql: str, args: Sequence[Any]) -> list[Row]:
        try:
            return self.db.execute(sql, args).fetchall()
        except apsw.ConstraintError as error:
            raise BadRequest(f"the store refused a value: {error}") from error
        except apsw.Error as error:
            self._raise(error)

    def _iterate(self, sql: str, args: Sequence[Any]) -> Iterator[Row]:
        try:
            yield from self.db.execute(sql, args)
        except apsw.Error as error:
            self._raise(error)

    def _raise(self, error: apsw.Error) -> NoReturn:
        told = self._health.judge(error, self.db.system_errno)
        if told is error:
            raise error
        raise told from error


def _chunks(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Batches of CHUNK rows; the rest in powers of two, so that few different statements are prepared."""
    rest = list(rows)
    size = CHUNK
    while rest:
        while size > len(rest):
            size //= 2
        yield rest[:size]
        rest = rest[size:]
