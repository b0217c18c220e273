"""Where a store can be: a file or a database, looked at and spoilt from outside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apsw
import psycopg

from qm.store.moving.tables import COPIED

Contents = dict[str, list[tuple[Any, ...]]]


class Place:
    """A file, or the URL of a database."""

    def __init__(self, where: Path | str) -> None:
        self.where = where
        self.url = where if isinstance(where, str) else f"sqlite:{where}"

    @property
    def keeps_nul(self) -> bool:
        """Whether a text may have a NUL there."""
        return isinstance(self.where, Path)

    def say(self, sql: str) -> list[tuple[Any, ...]]:
        """Runs SQL, whoever has the store. Gives its rows."""
        if isinstance(self.where, Path):
            file = apsw.Connection(str(self.where))
            file.set_busy_timeout(5000)
            file.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)  # a killed copy's log stays
            try:
                return file.execute(sql).fetchall()
            finally:
                file.close()
        with psycopg.connect(self.where, options="-csearch_path=qmanager", autocommit=True) as db:
            found = db.execute(sql.encode())
            return found.fetchall() if found.description else []

    def contents(self) -> Contents:
        """The rows of all tables that are copied, read as plainly as can be."""
        return {
            table.name: self.say(
                f"SELECT {', '.join(table.columns)} FROM {table.name} ORDER BY {', '.join(table.key)}"
            )
            for table in COPIED
        }


def without_nul(contents: Contents) -> Contents:
    """As PostgreSQL keeps them."""

    def fit(value: Any) -> Any:
        return value.replace("\0", "\u2400") if isinstance(value, str) else value

    return {name: [tuple(map(fit, row)) for row in rows] for name, rows in contents.items()}
