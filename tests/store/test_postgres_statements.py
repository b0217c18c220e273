"""Values travel to PostgreSQL as they are."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest

from qm.store.postgres.statements import Statement, register, statements
from qm.store.sql import migrations, queries
from tests.postgres import Cluster, want_postgres

VALUES: dict[str, list[Any]] = {
    "text": ["", "a", 'quote" comma, brace} back\\slash NULL', "ü\u2028\U0001f40d", "x" * 70_000],
    "bigint": [0, 1, -1, 2**63 - 1, -(2**63)],
    "float8": [0.0, -0.1, 1_700_000_000.123456, 1e308, float("inf")],
    "bytea": [b"", b"\0", bytes(range(256)), b"x" * 70_000],
}


@pytest.fixture
def cluster() -> Cluster:
    return want_postgres()


@pytest.fixture
def db(cluster: Cluster) -> Iterator[psycopg.Connection]:
    with closing(psycopg.connect(cluster.url("postgres"), autocommit=True)) as db:
        register(db)
        yield db


def echo(db: psycopg.Connection, type_: str, value: Any) -> Any:
    """What PostgreSQL has for a value."""
    statement = Statement(f"SELECT $1::{type_}")
    row = psycopg.RawCursor(db).execute(statement.text, statement.parameters([value]), binary=True).fetchone()
    assert row is not None
    return row[0]


@pytest.mark.parametrize("type_", VALUES)
def test_a_value_arrives_as_it_is(db: psycopg.Connection, type_: str) -> None:
    for value in [*VALUES[type_], None]:
        assert echo(db, type_, value) == value


@pytest.mark.parametrize("type_", VALUES)
def test_a_column_arrives_as_it_is(db: psycopg.Connection, type_: str) -> None:
    for column in ([], [None], [*VALUES[type_], None, *VALUES[type_]]):
        assert echo(db, f"{type_}[]", column) == column


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1])
def test_an_integer_that_does_not_fit_is_an_overflow(number: int) -> None:
    with pytest.raises(OverflowError):
        Statement("SELECT $1::bigint").parameters([number])
    with pytest.raises(OverflowError):
        Statement("SELECT $1::bigint[]").parameters([[1, number]])


def test_a_parameter_without_a_type_is_found() -> None:
    with pytest.raises(ValueError, match="not cast"):
        Statement("SELECT $1::text, $3::text")


def test_every_statement_is_good_sql(cluster: Cluster) -> None:
    with closing(psycopg.connect(cluster.emptied(), autocommit=True)) as db:
        db.execute("SET search_path = qmanager")
        for name, statement in statements().items():
            db.execute(f"PREPARE {name} AS ".encode() + statement.text)


#: What only one dialect has: how a batch is cut, how payloads, counts and numbers are kept, and what several
#: managers want.
ONLY_SQLITE = {"heads", "heads_of_many", "add_input", "due", "timeouts", "set_counts"}
ONLY_POSTGRES = {"add_counts", "fold_counts", "forgotten"}
ONLY_POSTGRES |= {"take_past", "serves", "claim", "cancelling_here", "ended"}
ONLY_POSTGRES |= {"live", "leave", "managers", "bury_managers", "adopt", "backend", "lead", "depose", "hint"}
ONLY_POSTGRES |= {"sessions_version", "our_sessions", "all_sessions"}


def test_the_dialects_have_the_same_names_in_the_same_order() -> None:
    sqlite, postgres = queries("sqlite"), queries("postgres")
    assert [name for name in sqlite if name not in ONLY_SQLITE] == [
        name for name in postgres if name not in ONLY_POSTGRES
    ]


def test_the_dialects_have_the_same_tables_and_columns(cluster: Cluster) -> None:
    """The sum of the migrations of each; what differs is named here."""
    rows = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'qmanager'"
    rows += " ORDER BY table_name, ordinal_position"
    postgres: dict[str, list[str]] = {}
    for table, column in cluster.say(rows, cluster.emptied().rpartition("/")[2]):
        postgres.setdefault(table, []).append(column)
    assert postgres.pop("migrations") == ["version", "name", "applied", "oldest"]
    assert postgres.pop("count_deltas") == postgres["counts"]
    assert "until" in postgres.pop("managers")
    assert [postgres["sessions"].pop() for _ in range(2)] == ["version", "manager"]
    sqlite = {}
    with closing(sqlite3.connect(":memory:")) as db:
        for step in migrations("sqlite"):
            db.executescript(step.text)
        for (table,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
            sqlite[table] = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
    assert sqlite.pop("numbers") == ["reserved"], "a sequence in PostgreSQL"
    assert postgres == sqlite
