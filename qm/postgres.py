"""Adds tasks inside your own transaction, where your data lies in the database that the managers use.

    with psycopg.connect(...) as connection:
        connection.execute("INSERT INTO orders ...")
        qm.postgres.add(connection, "mail", {"order": 42})
    # the block ends, the transaction is committed: now the task is there, and a worker has it in a moment

The task exists exactly if your commit does; managers hear of it with the commit and not before. What is added
so is the same as by `Client.add`: same ids, same options, said twice it is there once.

`connection` is a connection or a cursor of psycopg 3, psycopg 2 or Django, or a connection or a session of
SQLAlchemy over one of these. The `_async` functions take an `AsyncConnection` or `AsyncCursor` of psycopg 3.
They need no manager and no key: the right to call `qmanager.add_tasks` is the database's to give, see
docs/postgresql.md. With QM_PAYLOAD_KEYS inputs are sealed, as by the client.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import Any, Final, NoReturn

from qm.client.payload_keys import find_payload_keys, keyring_of
from qm.client.sealed import seal_new
from qm.client.tasks import new_task
from qm.errors import BadRequest, IdConflict, StoreError
from qm.messages import NewTask
from qm.sealing import Keyring

__all__ = ["add", "add_async", "add_many", "add_many_async", "new_task"]

_ADD: Final = (
    "SELECT qmanager.add_tasks(%s::text[], %s::text[], %s::bytea[], %s::bytea[], %s::bigint[], %s::float8[], "
    "%s::bigint[], %s::float8[], %s::float8[])"
)

#: SQLSTATEs: our own for what is refused; no such function, no such schema; no right to it.
_REFUSED: Final = "QMBAD"
_MISSING: Final = ("42883", "3F000")
_FORBIDDEN: Final = "42501"

#: What is said to the database, and what it answers: a status for each task.
_Steps = Generator[Sequence[NewTask], Sequence[str], None]


def add(connection: Any, type: str, input: Any = None, **options: Any) -> str:
    """Adds a task in the transaction of `connection` and gives its id; `options` as `qm.new_task`.

    Where another transaction that is still open has added the same id, this waits for its end. Raises
    `IdConflict` where the id belongs to another task, `BadRequest` and what `new_task` raises, and
    `StoreError` where the database has no queue, or the role no right to add. After an error that the
    database gave, your transaction can only be rolled back, as after any other.
    """
    return add_many(connection, [new_task(type, input, **options)])[0]


def add_many(connection: Any, tasks: Iterable[NewTask]) -> list[str]:
    """Adds tasks made by `new_task`, in one statement, and gives their ids in order. As `add`."""
    given = list(tasks)
    steps = _steps(given)
    cursor = _cursor(connection)
    try:
        said = next(steps, None)
        while said is not None:
            try:
                cursor.execute(_ADD, _columns(said))
                row = cursor.fetchone()
            except Exception as error:
                _explain(error)
            said = _answer(steps, row)
    finally:
        cursor.close()
    return [task.id for task in given]


async def add_async(connection: Any, type: str, input: Any = None, **options: Any) -> str:
    """As `add`, for an `AsyncConnection` or `AsyncCursor` of psycopg 3."""
    return (await add_many_async(connection, [new_task(type, input, **options)]))[0]


async def add_many_async(connection: Any, tasks: Iterable[NewTask]) -> list[str]:
    """As `add_many`, for an `AsyncConnection` or `AsyncCursor` of psycopg 3."""
    given = list(tasks)
    steps = _steps(given)
    async with _cursor(connection) as cursor:
        said = next(steps, None)
        while said is not None:
            try:
                await cursor.execute(_ADD, _columns(said))
                row = await cursor.fetchone()
            except Exception as error:
                _explain(error)
            said = _answer(steps, row)
    return [task.id for task in given]


def _steps(tasks: Sequence[NewTask]) -> _Steps:
    """What to say, and again where an id that is there already may be from before a rotation of the keys."""
    if not tasks:
        return
    keyring = keyring_of(find_payload_keys())
    statuses = yield tasks if keyring is None else [seal_new(keyring, task) for task in tasks]
    conflicts = [task for task, status in zip(tasks, statuses, strict=True) if status == "conflict"]
    for older in _older(keyring):
        if conflicts and keyring is not None:
            statuses = yield [seal_new(keyring, task, older) for task in conflicts]
            conflicts = [
                task for task, status in zip(conflicts, statuses, strict=True) if status == "conflict"
            ]
    if conflicts:
        raise IdConflict(f"the id {conflicts[0].id} belongs to another task", hint="give this one another id")


def _older(keyring: Keyring | None) -> range:
    return range(1, keyring.size if keyring is not None else 1)


def _answer(steps: _Steps, row: Any) -> Sequence[NewTask] | None:
    """Tells what the database said. Gives what to say next, None when all is added."""
    statuses = next(iter(row.values())) if isinstance(row, Mapping) else row[0]
    try:
        return steps.send(statuses)
    except StopIteration:
        return None


def _cursor(connection: Any) -> Any:
    """A cursor of our own in the same transaction: that of the caller keeps its rows."""
    if hasattr(connection, "cursor"):
        return connection.cursor()
    inner = getattr(connection, "connection", None)
    if inner is None:
        raise BadRequest(
            f"{type(connection).__name__} is no connection to a database",
            hint="give one of psycopg, Django or SQLAlchemy",
        )
    return _cursor(inner() if callable(inner) else inner)


def _columns(tasks: Sequence[NewTask]) -> list[list[Any]]:
    rows = [
        (t.id, t.type, t.input, t.digest, t.priority, t.delay, t.attempts, t.timeout, t.keep) for t in tasks
    ]
    return [list(column) for column in zip(*rows, strict=True)]


def _explain(error: Exception) -> NoReturn:
    """Raises what an error of the driver means, if that is ours to say, else the error itself."""
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    said = str(error).splitlines()[0]
    if state == _REFUSED:
        raise BadRequest(said) from error
    if state in _MISSING:
        raise StoreError(
            "there is no queue in this database, or one of an older qmanager",
            hint="start a qmanager with this database as its --store first",
        ) from error
    if state == _FORBIDDEN:
        raise StoreError(
            f"this role may not add tasks: {said}",
            hint="GRANT USAGE ON SCHEMA qmanager, GRANT EXECUTE ON FUNCTION qmanager.add_tasks",
        ) from error
    raise error
