"""What the errors of the database mean to a caller. Nothing of psycopg leaves the store."""

from __future__ import annotations

from typing import Any, Final

import psycopg
from psycopg import errors
from psycopg.pq import ConnStatus

from qm.errors import BadRequest, NotCommitted, QueueError, StoreError

#: The server is there, but not for us: what we want done, another connection (to another server) must do.
_LEFT: Final = (
    errors.ReadOnlySqlTransaction,
    errors.AdminShutdown,
    errors.CrashShutdown,
    errors.CannotConnectNow,
)


def told(error: psycopg.Error) -> QueueError:
    """The error for the caller. `NotCommitted` where the same call may go well when it is said again; all
    verbs may be said twice, so also where a connection was lost in COMMIT and nobody knows how that ended."""
    said = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, errors.InFailedSqlTransaction):
        return NotCommitted("the transaction was undone", hint="try again")
    if isinstance(error, (psycopg.IntegrityError, psycopg.DataError)):
        return BadRequest(f"the store refused a value: {said}")
    if isinstance(error, errors.DiskFull):
        return NotCommitted(f"the disk of the database is full: {said}", hint="make space, then try again")
    if isinstance(error, errors.LockNotAvailable):
        return NotCommitted(
            f"another transaction of the database holds what this needs: {said}",
            hint="try again when it has ended; one that has added the same id, perhaps",
        )
    if isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError, *_LEFT)):
        return NotCommitted(f"the database could not do it: {said}", hint="try again")
    return StoreError(f"the database cannot be used: {said}", hint="see docs/postgresql.md")


def useless(db: psycopg.Connection[Any], error: BaseException | None = None) -> bool:
    """Whether a connection is lost, or is one to a server that does not take writes any more."""
    cause = error.__cause__ if isinstance(error, QueueError) else error
    return db.closed or db.pgconn.status != ConnStatus.OK or isinstance(cause, _LEFT)
