"""Named SQL, one folder per dialect: `queries.sql` and numbered migrations.

A query is a block that begins with its name, or names, in a comment of its own: ``-- take --``. The names are
the verbs', and the same in every dialect, so that the dialects diff by eye.

A row of parameters marked ``/* rows */`` stands for as many rows as the caller gives, so that a batch is one
statement and one step of the engine: ``VALUES (?, ?) /* rows */``. As written it is valid SQL for one row.
"""

from __future__ import annotations

import re
from functools import lru_cache
from importlib import resources
from typing import Final, NamedTuple

_NAME: Final = re.compile(r"^-- ([a-z_, ]+) --$", re.MULTILINE)
_OLDEST: Final = re.compile(r"^-- oldest: (\d+)$", re.MULTILINE)
_ROWS: Final = re.compile(r"(\([?, ]+\)) /\* rows \*/")


class Query:
    """One named query."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self._parts = _ROWS.split(text.strip())
        if len(self._parts) not in (1, 3):
            raise ValueError(f"query {name} has more than one row template")
        self._texts: dict[int, str] = {}

    def text(self, rows: int = 1) -> str:
        """The SQL for `rows` rows of parameters; kept, so that the engine's statement cache knows it."""
        found = self._texts.get(rows)
        if found is None:
            found = self._texts[rows] = self._expand(rows)
        return found

    def _expand(self, rows: int) -> str:
        if len(self._parts) == 1:
            return self._parts[0]
        before, row, after = self._parts
        return before + ", ".join([row] * rows) + after


class Migration(NamedTuple):
    """One step of the schema: `version` is the number its file name begins with.

    `oldest` is the schema of the oldest programs that work with it too, as the file says in a line
    ``-- oldest: 3``; without one it is `version`, and programs of before cannot go on.
    """

    version: int
    name: str
    text: str
    oldest: int


@lru_cache
def queries(dialect: str) -> dict[str, Query]:
    """The named queries of `dialect` (sqlite)."""
    text = resources.files(__package__).joinpath(dialect, "queries.sql").read_text()
    parts = _NAME.split(text)[1:]
    named = zip(parts[::2], parts[1::2], strict=True)
    return {name.strip(): Query(name.strip(), sql) for names, sql in named for name in names.split(",")}


@lru_cache
def migrations(dialect: str) -> tuple[Migration, ...]:
    """The migrations of `dialect`, in order; their numbers run from 1 without a gap."""
    folder = resources.files(__package__).joinpath(dialect, "migrations")
    files = sorted(file.name for file in folder.iterdir() if file.name.endswith(".sql"))
    steps = tuple(_migration(name, folder.joinpath(name).read_text()) for name in files)
    if [step.version for step in steps] != list(range(1, len(steps) + 1)):
        raise ValueError(f"the migrations of {dialect} are not numbered 1, 2, 3 ...: {files}")
    return steps


def _migration(name: str, text: str) -> Migration:
    version, said = int(name[:4]), _OLDEST.search(text)
    oldest = int(said[1]) if said else version
    if not 1 <= oldest <= version:
        raise ValueError(f"{name} cannot work with programs of schema {oldest}")
    return Migration(version, name.removesuffix(".sql"), text, oldest)
