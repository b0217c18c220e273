"""Looks a store's file through: SQLite's own check, and what our tables promise one another.

It reads a snapshot by a connection of its own, so a manager may be at work beside it. Nothing is repaired:
what was acknowledged is in a backup, or cannot be told from what was not.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import apsw

from qm.errors import StoreError, StoreForeign
from qm.store.sqlite.file import APPLICATION_ID, open_reader
from qm.store.sqlite.health import damaged
from qm.store.sqlite.schema import missing, refuse_unfinished, strange_tables

#: Findings that are told of each kind; a damaged page can have thousands.
_MOST: Final = 20

#: Milliseconds to wait for a manager that is just opening or closing the file.
_PATIENCE: Final = 5000


class _Rule(NamedTuple):
    """A promise: the query gives an (id, detail) for each breach."""

    breach: str
    sql: str


_RULES: Final = (
    _Rule(
        "the count of a type and state is not what there is",
        """WITH real (type, state, tasks) AS (SELECT type, state, count(*) FROM tasks GROUP BY type, state)
        SELECT r.type || ' ' || r.state, coalesce(c.tasks, 0) || ' kept, ' || r.tasks || ' there'
        FROM real AS r LEFT JOIN counts AS c USING (type, state) WHERE r.tasks IS NOT c.tasks
        UNION ALL
        SELECT c.type || ' ' || c.state, c.tasks || ' kept, 0 there' FROM counts AS c
        WHERE c.tasks <> 0 AND NOT EXISTS (
            SELECT 1 FROM real AS r WHERE r.type = c.type AND r.state = c.state)
        """,
    ),
    _Rule(
        "a task runs in a session that is not known",
        """SELECT id, session FROM tasks INDEXED BY running
        WHERE state = 'running' AND session NOT IN (SELECT session FROM sessions)""",
    ),
    _Rule(
        "a task runs without a lease, a slot or a start",
        """SELECT id, NULL FROM tasks INDEXED BY running WHERE state = 'running'
        AND (lease IS NULL OR session IS NULL OR slot IS NULL OR started IS NULL OR attempt < 1)""",
    ),
    _Rule(
        "the input of a task is missing, or has another size",
        """SELECT t.id, t.input_size || ' bytes expected' FROM tasks AS t LEFT JOIN inputs AS i ON i.n = t.n
        WHERE length(coalesce(t.input, i.data)) IS NOT t.input_size""",
    ),
    _Rule(
        "the result of a task is missing, or has another size",
        """SELECT t.id, t.output_size || ' bytes expected' FROM tasks AS t
        LEFT JOIN outputs AS o ON o.n = t.n LEFT JOIN attempts AS a ON a.n = t.n AND a.attempt = t.attempt
        WHERE t.state = 'done' AND length(coalesce(a.output, o.data)) IS NOT t.output_size""",
    ),
    _Rule(
        "rows belong to a task that is not there",
        """SELECT 'number ' || n, 'inputs' FROM inputs WHERE n NOT IN (SELECT n FROM tasks)
        UNION ALL SELECT 'number ' || n, 'outputs' FROM outputs WHERE n NOT IN (SELECT n FROM tasks)
        UNION ALL SELECT 'number ' || n, 'attempts' FROM attempts WHERE n NOT IN (SELECT n FROM tasks)
        UNION ALL SELECT 'number ' || n, 'details' FROM details WHERE n NOT IN (SELECT n FROM tasks)""",
    ),
    _Rule(
        "a task has a number that was never given",
        "SELECT id, n || ', ' || seq FROM tasks WHERE max(n, seq) > (SELECT reserved FROM numbers)",
    ),
    _Rule(
        "an id is a task's and a forgotten one's at once",
        "SELECT id, NULL FROM tasks WHERE id IN (SELECT id FROM tombstones)",
    ),
)


def check_file(path: Path) -> Iterator[str]:
    """What is wrong with the store at `path`, in words; nothing where it is good.

    Raises `StoreForeign` for a file that is not ours, `StoreDamaged` for one that cannot be read to its end,
    `StoreTooNew`, and `StoreError` where there is none.
    """
    with reading(path) as db:
        good = True
        for found in _pages(db):
            yield found
            good = False
        if not good or missing(db, path):
            return  # what the rows say matters only where they can be read, and by today's schema
        strange = strange_tables(db)
        yield from (f"the table or index {name} is not ours" for name in strange)
        for rule in () if strange else _RULES:
            yield from _breaches(db, rule)


@contextmanager
def reading(path: Path) -> Iterator[apsw.Connection]:
    """A connection that sees the store at `path` as of one moment. Raises as `check_file`."""
    if not path.is_file():
        raise StoreError(f"there is no store {path}", hint="give another --store")
    try:
        with closing(open_reader(path)) as db:
            db.set_busy_timeout(_PATIENCE)
            db.execute("BEGIN")
            _identify(db, path)
            yield db
    except apsw.FullError:  # not ours: it is a copy of ours that found no space
        raise
    except apsw.NotADBError as error:
        raise StoreForeign(f"{path} is not an SQLite file", hint="give another --store") from error
    except (apsw.CorruptError, apsw.SQLError, UnicodeDecodeError) as error:
        raise damaged(path, str(error)) from error
    except apsw.Error as error:
        raise StoreError(f"cannot read the store {path}: {error}") from error


def _identify(db: apsw.Connection, path: Path) -> None:
    if db.pragma("application_id") != APPLICATION_ID:
        raise StoreForeign(f"{path} belongs to another program", hint="give another --store")
    missing(db, path)
    refuse_unfinished(db, path)


def _pages(db: apsw.Connection) -> Iterator[str]:
    """SQLite's own findings: trees, indexes, the CHECKs of the tables."""
    for (found,) in db.execute(f"PRAGMA integrity_check({_MOST})"):
        if found != "ok":
            yield from str(found).splitlines()


def _breaches(db: apsw.Connection, rule: _Rule) -> Iterator[str]:
    for count, (name, detail) in enumerate(db.execute(rule.sql)):
        if count == _MOST:
            yield f"{rule.breach}: and more"
            return
        yield f"{rule.breach}: {name}" + ("" if detail is None else f" ({detail})")
