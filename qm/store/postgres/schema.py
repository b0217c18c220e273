"""Brings the tables of a database up to date, beside managers that run if they can go on with what comes.

Every program says which schema it knows, by a lock that it shares for as long as its connection lasts, before
it looks at the schema. Every migration says which is the oldest schema whose programs work with it too
(`qm.store.sql.Migration`), and the table of migrations keeps that. So
- a migration that cannot go with a program that runs finds that one's lock, and is refused;
- a program that starts waits for a migration under way; where the schema is newer than what it knows, it goes
  on if all that is new works with it, and is refused else.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import psycopg
from psycopg import errors

from qm.errors import StoreBusy, StoreError, StoreForeign, StoreTooNew
from qm.store.postgres.address import Address
from qm.store.postgres.opening import cannot_open
from qm.store.sql import Migration, migrations
from qm.store.sql.unready import MARK_TABLE, is_unfinished, too_old

_log = logging.getLogger(__name__)

#: Of two programs that migrate at once, one does: "qmigrate" in ASCII.
_LOCK: Final = 0x716D696772617465

#: The locks of those who say what they know, each with the number of its schema: "qmsc" in ASCII.
_KNOWN: Final = 0x716D7363

#: The first schema whose table of migrations has the column `oldest`.
_HAS_OLDEST: Final = 2

#: By the tables, since to_regclass answers from a cache that may be older than the lock.
_THERE: Final = """
SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = 'qmanager'),
       EXISTS (SELECT 1 FROM pg_tables WHERE schemaname = 'qmanager' AND tablename = 'migrations'),
       EXISTS (SELECT 1 FROM pg_tables WHERE schemaname = 'qmanager' AND tablename = %s)
"""

_OLDER: Final = """
SELECT DISTINCT a.application_name || ', from ' || coalesce(host(a.client_addr), 'the same host')
FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 AND l.classid::bigint = %s
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.objid::bigint < %s
ORDER BY 1
"""


def migrate(
    db: psycopg.Connection[Any], address: Address, *, allowed: bool = True, unfinished: bool = False
) -> None:
    """Admits this program as `admit` does, and applies the migrations that are missing, each in a transaction
    of its own.

    Raises as `admit`; `StoreTooOld` where something is missing and that is not `allowed`; `StoreBusy` where
    a migration cannot go with a manager that runs.
    """
    with _explained(address):
        steps = admit(db, address, unfinished=unfinished)
        if steps and not allowed:
            raise too_old(str(address), steps)
        for step in steps:
            _apply(db, address, step)


def admit(
    db: psycopg.Connection[Any], address: Address, *, unfinished: bool = False
) -> tuple[Migration, ...]:
    """Says which schema this program knows for as long as `db` lasts. Gives what the database misses of it.

    Raises `StoreTooNew` for a schema that does not work with this program, `StoreForeign` for one that is not
    ours, `StoreDamaged` for a copy that is not whole, unless that may be `unfinished`, and `StoreError` where
    the database refuses.
    """
    with _explained(address):
        db.execute("SELECT pg_advisory_lock_shared(%s, %s)", (_KNOWN, len(migrations("postgres"))))
        with db.transaction():
            db.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            found = _look(db, address)
        if found.mark is not None and not unfinished:
            raise is_unfinished(str(address), found.mark)
        return _missing(found.version)


def missing(db: psycopg.Connection[Any], address: Address) -> tuple[Migration, ...]:
    """The migrations that the database does not have yet. Changes nothing. Raises as `admit`, but for a copy
    that is not whole."""
    with _explained(address):
        return _missing(_look(db, address).version)


def mark_of(db: psycopg.Connection[Any], address: Address) -> str | None:
    """What a database says of itself that is an unfinished copy; None: it is none. Raises as `missing`."""
    with _explained(address):
        return _look(db, address).mark


class _Found(NamedTuple):
    """The schema that is there (0: none), and the mark of a copy that is not whole."""

    version: int
    mark: str | None


def _missing(version: int) -> tuple[Migration, ...]:
    return migrations("postgres")[version:]


def _apply(db: psycopg.Connection[Any], address: Address, step: Migration) -> None:
    with db.transaction():
        db.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        if _look(db, address).version >= step.version:
            return  # another manager was first
        _refuse_beside_older(db, address, step)
        db.execute("SET LOCAL statement_timeout = 0")  # a new index over all tasks takes as long as it takes
        db.execute(step.text.encode())
        _note(db, step)
    _log.info("store %s: migrated to schema %d (%s)", address, step.version, step.name)


def _note(db: psycopg.Connection[Any], step: Migration) -> None:
    db.execute("INSERT INTO qmanager.migrations (version, name) VALUES (%s, %s)", (step.version, step.name))
    if step.version >= _HAS_OLDEST:
        db.execute(
            "UPDATE qmanager.migrations SET oldest = %s WHERE version = %s", (step.oldest, step.version)
        )


def _refuse_beside_older(db: psycopg.Connection[Any], address: Address, step: Migration) -> None:
    older = [name for (name,) in db.execute(_OLDER, (_KNOWN, step.oldest))]
    if older:
        raise StoreBusy(
            f"the migration {step.name} of the store {address} is nothing for the older managers that run: "
            + "; ".join(older),
            hint="stop them first; they cannot be started again afterwards",
        )


def _look(db: psycopg.Connection[Any], address: Address) -> _Found:
    """Raises `StoreForeign`, and `StoreTooNew` where we cannot go on with what is there."""
    schema, table, marked = _one(db, _THERE, (MARK_TABLE,))
    known = len(migrations("postgres"))
    version = None
    if table:
        (version,) = _one(db, "SELECT max(version) FROM qmanager.migrations")
    if version is None:
        if schema:
            raise StoreForeign(
                f"the schema qmanager of {address} belongs to another program", hint="give another database"
            )
        return _Found(0, None)
    if version > known:
        (oldest,) = _one(
            db, "SELECT max(coalesce(oldest, version)) FROM qmanager.migrations WHERE version > %s", (known,)
        )
        if oldest > known:
            raise StoreTooNew(
                f"the store {address} has schema {version}, this qmanager knows {known}",
                hint=f"install the newer qmanager: one that knows schema {oldest}, or later",
            )
        _log.info("store %s: has schema %d of a newer qmanager, which works with ours", address, version)
    mark = _one(db, f"SELECT mark FROM qmanager.{MARK_TABLE}")[0] if marked else None
    return _Found(version, mark)


@contextmanager
def _explained(address: Address) -> Iterator[None]:
    """What the database refuses, in words."""
    try:
        yield
    except errors.InsufficientPrivilege as error:
        hint = "let the user make a schema: GRANT CREATE ON DATABASE name TO user"
        raise StoreError(f"cannot migrate the store {address}: {error}", hint=hint) from error
    except errors.LockNotAvailable as error:
        raise StoreError(
            f"cannot migrate the store {address}: another session holds its tables",
            hint="end its transaction (see pg_stat_activity), then try again",
        ) from error
    except psycopg.Error as error:
        raise cannot_open(address, error) from error


def _one(db: psycopg.Connection[Any], query: str, args: tuple[Any, ...] = ()) -> tuple[Any, ...]:
    row = db.execute(query.encode(), args).fetchone()
    assert row is not None
    return tuple(row)
