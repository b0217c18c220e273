"""What is copied is all that there is: a table or a column that nobody thought of fails here."""

from __future__ import annotations

from collections.abc import Mapping

import apsw
import pytest

from qm.store.moving.tables import COPIED, LEFT
from qm.store.sql import migrations
from tests.postgres import want_postgres

#: Of columns whose texts are words of ours, as a CHECK says.
WORDS = {"state", "verb", "outcome"}

#: By table: the columns in order with their types in capitals, and those of the primary key.
Schema = Mapping[str, tuple[dict[str, str], list[str]]]


def of_sqlite() -> Schema:
    db = apsw.Connection(":memory:")
    for step in migrations("sqlite"):
        db.execute(step.text)
    found: dict[str, tuple[dict[str, str], list[str]]] = {}
    for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
        columns = db.execute("SELECT name, type, pk FROM pragma_table_info(?)", (name,)).fetchall()
        places = sorted((int(str(place)), str(column)) for column, _, place in columns)
        key = [column for place, column in places if place]
        found[str(name)] = ({str(column): str(type_) for column, type_, _ in columns}, key)
    return found


def of_postgres() -> Schema:
    cluster = want_postgres()
    database = cluster.emptied().rpartition("/")[2]
    found: dict[str, tuple[dict[str, str], list[str]]] = {}
    for kind, table, column, type_, place in cluster.say(
        """
        SELECT c.relkind, c.relname, a.attname, upper(format_type(a.atttypid, NULL)),
               array_position(i.indkey::int[], a.attnum::int)
        FROM pg_class AS c
        LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        LEFT JOIN pg_index AS i ON i.indrelid = c.oid AND i.indisprimary
        WHERE c.relnamespace = 'qmanager'::regnamespace AND c.relkind NOT IN ('i', 't')
        ORDER BY c.relname, array_position(i.indkey::int[], a.attnum::int), a.attnum
        """,
        database,
    ):
        columns, key = found.setdefault(table, ({}, []))
        if kind == "r":
            columns[column] = type_
            key += [column] if place is not None else []
    return found


@pytest.fixture(params=["sqlite", "postgres"])
def dialect(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def schema(dialect: str) -> Schema:
    return of_sqlite() if dialect == "sqlite" else of_postgres()


def test_every_table_and_sequence_is_copied_or_named_with_the_reason_why_not(
    dialect: str, schema: Schema
) -> None:
    left = {name for name in LEFT[dialect] if "." not in name}
    assert left & {table.name for table in COPIED} == set()
    assert sorted(schema) == sorted({table.name for table in COPIED} | left)
    assert all(LEFT[dialect].values())


def test_every_column_is_copied_or_named_with_the_reason_why_not(dialect: str, schema: Schema) -> None:
    for table in COPIED:
        left = {name.partition(".")[2] for name in LEFT[dialect] if name.startswith(f"{table.name}.")}
        assert left & set(table.columns) == set()
        assert sorted(schema[table.name][0]) == sorted(left | set(table.columns)), table.name


def test_what_is_left_is_there(dialect: str, schema: Schema) -> None:
    names = {*schema, *(f"{table}.{column}" for table, (columns, _) in schema.items() for column in columns)}
    assert set(LEFT[dialect]) <= names


def test_rows_are_walked_along_the_primary_key(schema: Schema) -> None:
    assert {table.name: [*table.key] for table in COPIED} == {
        table.name: schema[table.name][1] for table in COPIED
    }


def test_every_free_text_is_looked_through_for_nul(schema: Schema) -> None:
    for table in COPIED:
        texts = {name for name, type_ in schema[table.name][0].items() if type_ == "TEXT"}
        assert texts - WORDS == set(table.texts), table.name


def test_every_blob_but_a_digest_counts_as_a_payload(schema: Schema) -> None:
    for table in COPIED:
        blobs = {name for name, type_ in schema[table.name][0].items() if type_ in ("BLOB", "BYTEA")}
        assert blobs - {"digest"} <= set(table.payloads), table.name
