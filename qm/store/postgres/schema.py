"""Brings the tables of a database up to date."""

from __future__ import annotations

import logging
from typing import Any, Final

import psycopg
from psycopg import errors

from qm.errors import StoreError, StoreForeign, StoreTooNew
from qm.store.postgres.address import Address
from qm.store.postgres.opening import cannot_open
from qm.store.sql import Migration, migrations

_log = logging.getLogger(__name__)

#: Of two managers that start at once, one migrates: "qmigrate" in ASCII.
_LOCK: Final = 0x716D696772617465

#: By the tables, since to_regclass answers from a cache that may be older than the lock.
_THERE: Final = """
SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = 'qmanager'),
       EXISTS (SELECT 1 FROM pg_tables WHERE schemaname = 'qmanager' AND tablename = 'migrations')
"""


def migrate(db: psycopg.Connection[Any], address: Address) -> None:
    """Applies the migrations that are missing, each in a transaction of its own.

    Raises `StoreTooNew` for a schema of a newer qmanager, `StoreForeign` for one that is not ours,
    `StoreError` where the database refuses.
    """
    steps = migrations("postgres")
    try:
        version = _version(db, address)
        if version > len(steps):
            raise StoreTooNew(
                f"the store {address} has schema {version}, this qmanager knows {len(steps)}",
                hint="install the newer qmanager again",
            )
        for step in steps[version:]:
            _apply(db, address, step)
    except errors.InsufficientPrivilege as error:
        hint = "let the user make a schema: GRANT CREATE ON DATABASE name TO user"
        raise StoreError(f"cannot migrate the store {address}: {error}", hint=hint) from error
    except psycopg.Error as error:
        raise cannot_open(address, error) from error


def _apply(db: psycopg.Connection[Any], address: Address, step: Migration) -> None:
    with db.transaction():
        db.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        if _version(db, address) >= step.version:
            return  # another manager was first
        db.execute(step.text.encode())
        db.execute(
            "INSERT INTO qmanager.migrations (version, name) VALUES (%s, %s)", (step.version, step.name)
        )
    _log.info("store %s: migrated to schema %d (%s)", address, step.version, step.name)


def _version(db: psycopg.Connection[Any], address: Address) -> int:
    """The schema that is there; 0: none."""
    schema, table = _one(db, _THERE)
    if table:
        (version,) = _one(db, "SELECT max(version) FROM qmanager.migrations")
        if version is not None:
            return int(version)
    if schema:
        raise StoreForeign(
            f"the schema qmanager of {address} belongs to another program", hint="give another database"
        )
    return 0


def _one(db: psycopg.Connection[Any], query: str) -> tuple[Any, ...]:
    row = db.execute(query.encode()).fetchone()
    assert row is not None
    return tuple(row)
