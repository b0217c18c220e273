"""Migrations by hand, for those who do not leave them to the next start of a manager."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from qm.store import file_of, is_postgres, wanting_psycopg
from qm.store.sql import Migration

if TYPE_CHECKING:
    import psycopg

    from qm.store.postgres.address import Address


def plan(url: str) -> tuple[Migration, ...]:
    """The migrations that the store at `url` misses. Changes nothing, and may be asked beside a manager.

    Raises `BadRequest` for a URL of no file and no database, and what the store raises when it opens.
    """
    if is_postgres(url):
        from qm.store.postgres.schema import missing as missing_there

        with _database(url) as (db, address):
            return missing_there(db, address)
    path = file_of(url)
    if not path.exists():
        from qm.store.sql import migrations

        return migrations("sqlite")
    from qm.store.sqlite.check import reading
    from qm.store.sqlite.schema import missing

    with reading(path) as file:
        return missing(file, path)


def migrate(url: str) -> tuple[Migration, ...]:
    """Applies what `plan` gives, and gives it. A file must be nobody's; in a database managers may go on that
    work with what comes, others are met with `StoreBusy`. Raises as `plan`."""
    steps = plan(url)
    if is_postgres(url):
        from qm.store.postgres.schema import migrate as migrate_there

        with _database(url) as (db, address):
            migrate_there(db, address)
    elif steps:
        from qm.store.sqlite import SQLiteStore

        SQLiteStore.open(file_of(url)).close()
    return steps


@contextmanager
def _database(url: str) -> Iterator[tuple[psycopg.Connection[Any], Address]]:
    with wanting_psycopg():
        from qm.store.postgres.address import Address
        from qm.store.postgres.opening import connect
    address = Address(url)
    with connect(address, relaxed=False) as db:
        yield db, address
