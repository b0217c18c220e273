"""Connections that only read, each lent for one question."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, TypeVar

import psycopg
from psycopg_pool import ConnectionPool

from qm.errors import NotCommitted, QueueError
from qm.store.postgres.address import Address
from qm.store.postgres.connection import Connection
from qm.store.postgres.faults import told, useless
from qm.store.postgres.opening import prepare
from qm.store.sql.part import Row

T = TypeVar("T")

#: It warns of each connection that it replaces; qm.store.postgres.link says it once.
logging.getLogger("psycopg.pool").setLevel(logging.ERROR)

#: Reading connections at most; each is a process of the server, and a question takes it for a millisecond.
_MOST: Final = 4

#: Seconds that a question waits for one of them.
_PATIENCE: Final = 2.0


class _Reading(psycopg.Connection[Any]):
    """A connection of the pool, with its prepared statements."""

    desk: Connection


class Readers:
    """The pool, as a connection that runs named queries. Thread-safe: every question has one of its own.

    A question whose connection is found dead is asked again on another: reading twice does no harm.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._pool = ConnectionPool(
            kwargs={**address.parameters, "autocommit": True},
            connection_class=_Reading,
            configure=self._configure,
            min_size=1,
            max_size=_MOST,
            max_idle=60.0,
            timeout=_PATIENCE,
            reconnect_timeout=_PATIENCE,
            num_workers=1,
            name="qmanager readers",
            open=True,
        )

    def run(self, name: str, args: Sequence[Any] = ()) -> list[Row]:
        """The rows of the named query."""
        return self._ask(lambda desk: desk.run(name, args))

    def run_many(self, name: str, rows: Iterable[Row], extra: Row = ()) -> list[Row]:
        """See `Connection.run_many`."""
        rows = list(rows)
        return self._ask(lambda desk: desk.run_many(name, rows, extra))

    def iterate_rows(self, name: str, values: Sequence[Any], extra: Row = ()) -> Iterator[Row]:
        """See `Connection.iterate_rows`."""
        return self._ask(lambda desk: desk.iterate_rows(name, values, extra))

    def snapshot(self, ask: Callable[[Connection], T]) -> T:
        """`ask` all of it as of one moment."""

        def at_once(desk: Connection) -> T:
            desk.begin("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            try:
                found = ask(desk)
                desk.commit()
            except BaseException:
                desk.roll_back()
                raise
            return found

        return self._ask(at_once)

    def close(self) -> None:
        """Closes all of them."""
        self._pool.close()

    def _ask(self, ask: Callable[[Connection], T]) -> T:
        for _ in range(_MOST + 1):
            db = self._borrow()
            try:
                return ask(db.desk)
            except NotCommitted:
                if not useless(db):
                    raise
            finally:
                self._pool.putconn(db)
        raise NotCommitted("the database ends all connections", hint="try again")

    def _borrow(self) -> _Reading:
        try:
            return self._pool.getconn()
        except psycopg.Error as error:
            raise told(error) from error

    def _configure(self, db: _Reading) -> None:
        try:
            prepare(db, self._address, relaxed=True)
        except QueueError as error:  # the pool logs it, and tries again
            raise psycopg.OperationalError(str(error)) from error
        db.desk = Connection(db)
