"""The schema of a store's file: brings it up to date, and says whether its tables are those that it should
have."""

from __future__ import annotations

import logging
from functools import lru_cache
from pathlib import Path
from typing import Final

import apsw

from qm.errors import StoreTooNew
from qm.store.sql import Migration, migrations
from qm.store.sql.unready import MARK_TABLE, is_unfinished, too_old

_log = logging.getLogger(__name__)

#: As bytes: what is spoilt need not be text any more.
_ALL: Final = "SELECT CAST(name AS BLOB), CAST(sql AS BLOB) FROM sqlite_schema WHERE sql IS NOT NULL"


def missing(db: apsw.Connection, path: Path) -> tuple[Migration, ...]:
    """The migrations that the file does not have yet. Raises `StoreTooNew` for one of a newer qmanager."""
    steps = migrations("sqlite")
    version = db.pragma("user_version")
    if version > len(steps):
        raise StoreTooNew(
            f"the store {path} has schema {version}, this qmanager knows {len(steps)}",
            hint="install the newer qmanager again, or restore the backup that it made of the older schema",
        )
    return steps[version:]


def migrate(db: apsw.Connection, path: Path, *, allowed: bool = True) -> None:
    """Applies what is missing, each in a transaction of its own; a file that has tables is copied first.

    Raises as `missing`, and `StoreTooOld` where something is and that is not `allowed`.
    """
    steps = missing(db, path)
    if steps and not allowed:
        raise too_old(f"sqlite:{path}", steps)
    if steps and steps[0].version > 1:
        _keep_copy(db, path, steps[0].version - 1)
    for step in steps:
        with db:
            db.execute(step.text)
            db.execute(f"PRAGMA user_version = {step.version}")
        _log.info("store %s: migrated to schema %d (%s)", path, step.version, step.name)


def refuse_unfinished(db: apsw.Connection, path: Path) -> None:
    """Raises `StoreDamaged` where the file is a copy that is not whole."""
    if text := mark_of(db):
        raise is_unfinished(f"sqlite:{path}", text)


def mark_of(db: apsw.Connection) -> str | None:
    """What a file says of itself that is an unfinished copy; None: it is none."""
    if not db.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", (MARK_TABLE,)).fetchall():
        return None
    return str(db.execute(f"SELECT mark FROM {MARK_TABLE}").get)


def strange_tables(db: apsw.Connection) -> list[str]:
    """The tables and indexes of ours that are missing in a file of today's schema, or read otherwise: a bit
    that is flipped in their text passes SQLite's own check. Others than ours may be there."""
    there = set(db.execute(_ALL))
    return sorted(name.decode() for name, sql in _ours() if (name, sql) not in there)


@lru_cache
def _ours() -> frozenset[tuple[bytes, bytes]]:
    db = apsw.Connection(":memory:")
    for step in migrations("sqlite"):
        db.execute(step.text)
    found = frozenset(db.execute(_ALL))
    db.close()
    return found


def _keep_copy(db: apsw.Connection, path: Path, version: int) -> None:
    """The way back from a migration is the file as it was."""
    copy = path.with_name(f"{path.name}.bak-v{version}")
    copy.unlink(missing_ok=True)
    db.execute("VACUUM INTO ?", (str(copy),))
    copy.chmod(0o600)
    _log.info("store %s: copied to %s before its schema changes", path, copy)
