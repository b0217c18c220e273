"""Which named query a statement is, whatever the number of its rows."""

from __future__ import annotations

import re
from functools import lru_cache

from qm.store.sql import queries

_ROWS = re.compile(r"(\([?, ]+\))(?:, \1)+")


def name_of(sql: str) -> str:
    """The statement's name in queries.sql (the first, where it has two); of other SQL its first two words."""
    return _named().get(_of_one_row(sql)) or " ".join(sql.split()[:2])


@lru_cache
def _named() -> dict[str, str]:
    found: dict[str, str] = {}
    for name, query in queries("sqlite").items():
        found.setdefault(_of_one_row(query.text()), name)
    return found


def _of_one_row(sql: str) -> str:
    return _ROWS.sub(r"\1", sql)
