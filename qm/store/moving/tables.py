"""What of a store is copied: every table and column by its name, and why the others are not.

A test compares this with the schemas of all dialects, so that a migration which adds a table or a column must
say here what becomes of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple


class Table(NamedTuple):
    """A table that is copied. `key` are its columns that order the rows, the same way in every dialect: it is
    the primary key. `payloads` are the columns whose size is not bound to a few bytes, `texts` those in which
    a NUL may stand."""

    name: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    payloads: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()

    @property
    def places(self) -> tuple[int, ...]:
        """Where in a row the key stands."""
        return self._where(self.key)

    @property
    def payload_places(self) -> tuple[int, ...]:
        """Where in a row the payloads stand."""
        return self._where(self.payloads)

    @property
    def text_places(self) -> tuple[int, ...]:
        """Where in a row the free texts stand."""
        return self._where(self.texts)

    def _where(self, names: tuple[str, ...]) -> tuple[int, ...]:
        return tuple(self.columns.index(name) for name in names)


#: In the order in which they are copied.
COPIED: Final = (
    Table(
        "tasks",
        ("n",),
        (
            *("n", "id", "type", "state", "priority", "seq", "key", "digest", "added", "due"),
            *("attempt", "failures", "crashes", "lost", "attempts", "timeout", "keep"),
            *("lease", "session", "slot", "incarnation", "worker", "started", "ended", "expires"),
            *("reason", "progress", "note", "cancelling", "input_size", "output_size", "input"),
        ),
        payloads=("input", "note", "reason"),
        texts=("id", "type", "key", "session", "worker", "reason", "note"),
    ),
    Table("inputs", ("n",), ("n", "data"), payloads=("data",)),
    Table("outputs", ("n",), ("n", "data"), payloads=("data",)),
    Table(
        "attempts",
        ("n", "attempt"),
        (
            *("n", "attempt", "lease", "verb", "outcome", "session", "slot", "worker"),
            *("started", "ended", "cause", "error", "output"),
        ),
        payloads=("error", "output"),
        texts=("session", "worker", "cause"),
    ),
    Table(
        "details",
        ("n", "attempt"),
        ("n", "attempt", "pid", "exitcode", "peak_memory", "log"),
        payloads=("log",),
        texts=("log",),
    ),
    Table("tombstones", ("id",), ("id", "digest", "until"), texts=("id",)),
    Table("types", ("type",), ("type", "attempts", "timeout", "keep"), texts=("type",)),
    Table(
        "sessions",
        ("session",),
        ("session", "host", "pid", "processes", "types", "attached"),
        payloads=("types",),
        texts=("session", "host"),
    ),
)

#: By dialect: the tables (`name`), columns (`table.name`) and sequences that are not copied, and why.
LEFT: Final[Mapping[str, Mapping[str, str]]] = {
    "sqlite": {
        "counts": "they are counted anew from the tasks",
        "numbers": "it goes on behind the source's last number",
    },
    "postgres": {
        "migrations": "they are the target's own",
        "counts": "they are counted anew from the tasks",
        "count_deltas": "they are in the counts",
        "numbers": "it goes on behind the source's last number",
        "managers": "they are those that run",
        "sessions.manager": "whoever serves the copy adopts them",
        "sessions.version": "it is drawn when the row is written",
    },
}
