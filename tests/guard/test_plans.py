"""No query walks what grows: asked of SQLite's planner, for every named query, with one row and with many.

A plan lists what a query loops over. SEARCH goes down an index to what was asked for; SCAN reads all there
is; a SEARCH over a range (rowid>?) may read all there is; a temporary b-tree sorts all that was read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import apsw
import apsw.ext
import pytest

from qm.store.sql import queries
from qm.store.sqlite.connection import CHUNK
from qm.store.sqlite.file import open_writer

#: Tables that hold a row for each task, or attempt, or id, and the name that queries give the first of them.
GROW = {"tasks", "t", "inputs", "outputs", "attempts", "tombstones"}

#: Indexes that hold only what runs: as much as there are workers.
SMALL = {"running"}

#: Who may sort what is read, and why that is little.
SORTS = {
    "heads_of_many": "at most `limit` rows of each type are read: the sorter stops a type's line there",
    "list_waiting": "as heads_of_many, from the cursor on",
    "list_ended": "as heads_of_many, of each type and state",
    "list_running": "what runs is as much as there are workers",
    "held": "what one slot runs is at most TAKE_MAX",
    "held_by_session": "what one session runs is at most TAKE_MAX for each of its slots",
}

#: Who may walk a range, and what ends the walk.
RANGES = {
    "due": "LIMIT, and all in the range are wanted",
    "expired": "LIMIT, and all in the range are wanted",
    "expire_ids": "LIMIT, and all in the range are wanted",
    "next_expiry": "the first of the range is wanted",
    "list_waiting": "LIMIT",
    "list_scheduled": "LIMIT",
    "list_blocked": "LIMIT",
}

INDEXES = ["waiting", "scheduled", "blocked", "running", "ended", "expiring", "tombstones_until"]

NAMES = sorted(queries("sqlite"))


@pytest.fixture
def db(tmp_path: Path) -> Iterator[apsw.Connection]:
    db = open_writer(tmp_path / "queue.db")
    yield db
    db.close()


def faults(db: apsw.Connection, name: str, sql: str) -> list[str]:
    """What is wrong with the plan of a query."""
    return [line for line in _plan(db, sql) if _is_fault(name, line)]


def _plan(db: apsw.Connection, sql: str) -> list[str]:
    return list(_lines(apsw.ext.query_info(db, sql, explain_query_plan=True).query_plan))


def _lines(plan: apsw.ext.QueryPlan | None) -> Iterator[str]:
    if plan is not None:
        yield plan.detail
        for part in plan.sub or ():
            yield from _lines(part)


def _is_fault(name: str, line: str) -> bool:
    table = re.match(r"(SCAN|SEARCH) (\w+)", line)
    index = re.search(r"USING (?:COVERING )?INDEX (\w+)", line)
    if "TEMP B-TREE" in line:
        return name not in SORTS
    if table is None or table[2] not in GROW or (index and index[1] in SMALL):
        return False
    if re.search(r"\((rowid|n|due|expires|ended|until)[<>]\?\)", line):
        # a range of row numbers also holds what was not asked for: it takes an index
        return name not in RANGES or "(rowid" in line
    return table[1] == "SCAN"


@pytest.mark.parametrize("name", NAMES)
def test_no_query_walks_what_grows(name: str, db: apsw.Connection) -> None:
    for rows in (1, 2, CHUNK):
        assert faults(db, name, queries("sqlite")[name].text(rows)) == []


def test_the_exceptions_are_of_queries_that_exist() -> None:
    assert SORTS.keys() | RANGES.keys() <= set(NAMES)


@pytest.mark.parametrize(
    ("name", "sql", "fault"),
    [
        ("get", "SELECT * FROM tasks AS t WHERE t.worker = ?", "SCAN t"),
        ("states", "SELECT type, count(*) FROM tasks GROUP BY type", "SCAN tasks"),
        ("due", "SELECT n FROM tasks WHERE added <= ? LIMIT ?", "SCAN tasks"),
        (
            "get",
            "SELECT n FROM tasks WHERE state = 'waiting' AND type = ? ORDER BY id LIMIT ?",
            "TEMP B-TREE",
        ),
        ("list_ended", "SELECT n FROM tasks WHERE n > ? AND state = 'done' LIMIT ?", "rowid>"),
        ("settled", "SELECT * FROM attempts WHERE lease = ?", "SCAN attempts"),
        ("forget", "DELETE FROM tombstones WHERE digest = ?", "SCAN tombstones"),
        ("page", "SELECT * FROM outputs JOIN inputs ON inputs.data = outputs.data", "SCAN"),
    ],
)
def test_a_query_that_walks_what_grows_is_caught(
    name: str, sql: str, fault: str, db: apsw.Connection
) -> None:
    assert any(fault in line for line in faults(db, name, sql))


@pytest.mark.parametrize(
    "index", ["waiting", "scheduled", "running", "ended", "expiring", "tombstones_until"]
)
def test_an_index_that_is_gone_is_missed(index: str, db: apsw.Connection) -> None:
    before = _broken(db)
    db.execute(f"DROP INDEX {index}")
    assert _broken(db) > before


def _broken(db: apsw.Connection) -> set[str]:
    return {name for name in NAMES if _is_broken(db, name)}


def _is_broken(db: apsw.Connection, name: str) -> bool:
    try:
        return bool(faults(db, name, queries("sqlite")[name].text()))
    except apsw.SQLError:  # it names its index itself
        return True
