"""Whether a file's tables are those of the schema that it says it has."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import apsw

from qm.store.sql import migrations

#: As bytes: what is spoilt need not be text any more.
_ALL: Final = "SELECT CAST(name AS BLOB), CAST(sql AS BLOB) FROM sqlite_schema WHERE sql IS NOT NULL"


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
