"""A store that keeps many waiting tasks, written by SQL alone: a million of them in seconds."""

from __future__ import annotations

from pathlib import Path

from qm.store.sqlite.file import open_writer
from tests.guard.shop import TYPE

_NUMBERS = "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?1) "

_FILL = (
    _NUMBERS + "INSERT INTO tasks (n, id, type, state, priority, seq, digest, added, input_size, input) "
    "SELECT n, printf('%032x', n), ?2, 'waiting', 0, n, zeroblob(16), 0, 1, x'01' FROM numbers",
    "INSERT INTO counts (type, state, tasks) VALUES (?2, 'waiting', ?1)",
    "UPDATE numbers SET reserved = ?1",
)


def fill(path: Path, tasks: int) -> None:
    """Makes the store of a manager that is not running."""
    db = open_writer(path)
    with db:
        for sql in _FILL:
            db.execute(sql, (tasks, TYPE)[: 2 if "?2" in sql else 1])
    db.close()


def id_of(number: int) -> str:
    """The id of the task that was added as the so-manieth, from 1."""
    return f"{number:032x}"
