"""The one statement, and what the database says to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NoReturn

from qm.errors import BadRequest, NotAllowed, StoreError
from qm.messages import NewTask
from qm.postgres.ways import AsyncWay, Way

#: The function is that of qm/store/sql/postgres/migrations/0004_add_tasks.sql.
_ADD: Final = (
    "SELECT qmanager.add_tasks(%s::text[], %s::text[], %s::bytea[], %s::bytea[], %s::bigint[], %s::float8[], "
    "%s::bigint[], %s::float8[], %s::float8[], %s::boolean)"
)

#: What the database calls its errors: no such function, no such schema; no right; a bad value, said by ours.
_NO_FUNCTION: Final = "42883"
_NO_SCHEMA: Final = "3F000"
_FORBIDDEN: Final = "42501"
_BAD_VALUE: Final = "22023"


def call(way: Way, tasks: Sequence[NewTask], notify: bool) -> Sequence[str]:
    """Adds tasks. Gives the status of each."""
    try:
        return _statuses(way(_ADD, _parameters(tasks, notify)))
    except Exception as error:
        _explain(error)


async def call_async(way: AsyncWay, tasks: Sequence[NewTask], notify: bool) -> Sequence[str]:
    """As `call`."""
    try:
        return _statuses(await way(_ADD, _parameters(tasks, notify)))
    except Exception as error:
        _explain(error)


def _parameters(tasks: Sequence[NewTask], notify: bool) -> tuple[Any, ...]:
    columns = (
        [task.id for task in tasks],
        [task.type for task in tasks],
        [task.input for task in tasks],
        [task.digest for task in tasks],
        [task.priority for task in tasks],
        [float(task.delay) for task in tasks],
        [task.attempts for task in tasks],
        [_real(task.timeout) for task in tasks],
        [_real(task.keep) for task in tasks],
    )
    return (*columns, notify)


def _real(seconds: float | None) -> float | None:
    """A list that has integers beside floats is none to the driver."""
    return None if seconds is None else float(seconds)


def _statuses(row: Any) -> Sequence[str]:
    statuses: Sequence[str] = row[0]
    return statuses


def _explain(error: Exception) -> NoReturn:
    """Raises what an error means, where that is ours to say; else the error itself."""
    cause = getattr(error, "orig", error)  # SQLAlchemy wraps the driver's
    state = getattr(cause, "sqlstate", None)
    said = str(cause).partition("\n")[0]
    if state in (_NO_FUNCTION, _NO_SCHEMA):
        raise StoreError(
            "this database has no queue, or one of an older qmanager",
            hint="start qmanager with this database as its --store; it makes what is missing",
        ) from error
    if state == _FORBIDDEN:
        raise NotAllowed(
            f"this role may not add tasks: {said}",
            hint="GRANT USAGE ON SCHEMA qmanager TO role; "
            "GRANT EXECUTE ON FUNCTION qmanager.add_tasks TO role",
        ) from error
    if state == _BAD_VALUE:
        raise BadRequest(said) from error
    raise error
