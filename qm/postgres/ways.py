"""From what a user has in hand to the connection of psycopg whose transaction it is."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Final, NoReturn, TypeAlias

import psycopg
from psycopg.rows import tuple_row

from qm.errors import BadRequest

#: Runs a statement with its parameters in the user's transaction. Gives the first row.
Way: TypeAlias = Callable[[str, tuple[Any, ...]], Any]
AsyncWay: TypeAlias = Callable[[str, tuple[Any, ...]], Awaitable[Any]]

#: Cursors, sessions and connections that lead to one another: more than anybody wraps.
_STEPS: Final = 4

#: How SQLAlchemy calls psycopg 3, and the same behind its AsyncSession.run_sync.
_DRIVERS: Final = ("psycopg", "psycopg_async")


def find_way(given: Any) -> Way:
    """The way for a connection, cursor or session. Raises `BadRequest` where there is none."""
    found = given
    for _ in range(_STEPS):
        if isinstance(found, psycopg.Connection):
            return _psycopg_way(found)
        if isinstance(found, psycopg.AsyncConnection):
            raise BadRequest(
                f"{_name(given)} is asynchronous", hint="await qm.postgres.add_async or add_many_async"
            )
        if hasattr(found, "exec_driver_sql"):
            return _sqlalchemy_way(found)
        found = getattr(found, "connection", None)
        if inspect.iscoroutinefunction(found):
            _refuse_async_session(given)
        found = found() if inspect.ismethod(found) else found
    raise BadRequest(
        f"{_name(given)} is no connection of psycopg 3",
        hint="give one, a cursor of it, or a connection or session of SQLAlchemy over it; with other drivers "
        "call the SQL function qmanager.add_task, see docs/postgresql.md",
    )


def find_async_way(given: Any) -> AsyncWay:
    """The way for an asynchronous connection or cursor of psycopg. Raises `BadRequest` for anything else."""
    found = given.connection if isinstance(given, psycopg.AsyncCursor) else given
    if not isinstance(found, psycopg.AsyncConnection):
        raise BadRequest(
            f"{_name(given)} is no asynchronous connection of psycopg 3",
            hint="qm.postgres.add takes others; AsyncSession: await session.run_sync(qm.postgres.add, ...)",
        )

    async def way(statement: str, parameters: tuple[Any, ...]) -> Any:
        async with psycopg.AsyncCursor(found, row_factory=tuple_row) as cursor:
            await cursor.execute(statement.encode(), parameters)
            return await cursor.fetchone()

    return way


def _psycopg_way(db: psycopg.Connection[Any]) -> Way:
    """By a cursor of our own: the user's may have rows to give, and give them in another shape."""

    def way(statement: str, parameters: tuple[Any, ...]) -> Any:
        with psycopg.Cursor(db, row_factory=tuple_row) as cursor:
            return cursor.execute(statement.encode(), parameters).fetchone()

    return way


def _sqlalchemy_way(connection: Any) -> Way:
    """By its own verb, which begins its transaction where none is begun: else its commit would do nothing."""
    if inspect.iscoroutinefunction(connection.exec_driver_sql):
        _refuse_async_session(connection)
    driver = connection.dialect.driver
    if driver not in _DRIVERS:
        raise BadRequest(
            f"this SQLAlchemy connection is over {driver}, not over psycopg 3",
            hint="make its engine with postgresql+psycopg://..., or call the SQL function qmanager.add_task",
        )
    return lambda statement, parameters: connection.exec_driver_sql(statement, parameters).one()


def _refuse_async_session(given: Any) -> NoReturn:
    raise BadRequest(
        f"{_name(given)} is asynchronous",
        hint='await session.run_sync(qm.postgres.add, "type", input)',
    )


def _name(given: Any) -> str:
    return f"a {type(given).__module__}.{type(given).__qualname__}"
