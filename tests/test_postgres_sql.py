"""Any language adds by SQL: qmanager.add_task and qmanager.add_tasks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest

from qm.limits import PAYLOAD_MAX, SEALING_MAX
from qm.payload import pack, unpack, wrap
from qm.store.postgres import PostgresStore
from qm.task import State
from tests.postgres import want_postgres


@pytest.fixture
def url() -> str:
    return want_postgres().emptied()


@pytest.fixture
def db(url: str) -> Iterator[psycopg.Connection]:
    with closing(psycopg.connect(url, autocommit=True)) as db:
        yield db


def ask(db: psycopg.Connection, sql: str, *values: Any) -> Any:
    row = db.execute(sql.encode(), values).fetchone()
    assert row is not None
    return row[0]


def test_a_task_by_hand(url: str, db: psycopg.Connection) -> None:
    id_ = ask(db, "SELECT qmanager.add_task('mail', %s)", pack({"to": "ana"}))
    later = ask(db, "SELECT qmanager.add_task('mail', %s, priority => 3, delay => 60, keep => 5)", pack(1))
    with closing(PostgresStore.open(url)) as store:
        first, second = store.get([id_, later])
        assert first is not None
        assert second is not None
        assert (first.state, unpack(first.input)) == (State.WAITING, {"to": "ana"})
        assert (second.state, second.priority, second.timeout) == (State.SCHEDULED, 3, None)
        assert store.counts() == {"mail": {State.WAITING: 1, State.SCHEDULED: 1}}


def test_said_twice_by_hand(db: psycopg.Connection) -> None:
    for _ in range(2):
        assert ask(db, "SELECT qmanager.add_task('mail', %s, 'a')", pack(1)) == "a"
    for type_, value in (("mail", 2), ("sms", 1)):
        with pytest.raises(psycopg.errors.UniqueViolation, match="'a' belongs to a task with another"):
            ask(db, "SELECT qmanager.add_task(%s, %s, 'a')", type_, pack(value))
    assert ask(db, "SELECT count(*) FROM qmanager.tasks") == 1


def test_a_task_for_each_row(db: psycopg.Connection) -> None:
    db.execute("SELECT qmanager.add_task('mail', '\\xc0', 'row-' || n) FROM generate_series(1, 300) AS n")
    assert ask(db, "SELECT count(*) FROM qmanager.tasks") == 300
    assert ask(db, "SELECT sum(tasks) FROM qmanager.count_deltas") == 300


def test_a_task_by_a_trigger(db: psycopg.Connection) -> None:
    db.execute("CREATE TEMP TABLE orders (n int)")
    db.execute(
        "CREATE FUNCTION pg_temp.enqueue() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "PERFORM qmanager.add_task('order', '\\xc0', 'order-' || NEW.n); RETURN NEW; END $$"
    )
    db.execute("CREATE TRIGGER t AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION pg_temp.enqueue()")
    db.execute("INSERT INTO orders VALUES (7)")
    assert ask(db, "SELECT id FROM qmanager.tasks") == "order-7"


GOOD: dict[str, Any] = {
    "id": "a",
    "type": "mail",
    "input": b"\xc0",
    "digest": bytes(16),
    "priority": 0,
    "delay": 0.0,
    "attempts": None,
    "timeout": None,
    "keep": None,
}


def add_one(db: psycopg.Connection, **other: Any) -> Any:
    kinds = ("text", "text", "bytea", "bytea", "bigint", "float8", "bigint", "float8", "float8")
    arrays = ", ".join(f"ARRAY[%s]::{kind}[]" for kind in kinds)
    return ask(db, f"SELECT qmanager.add_tasks({arrays})", *{**GOOD, **other}.values())


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        *(("id", value, "cannot be an id") for value in (None, "", "a b", "a\n", "ä", "x" * 65)),
        *(("type", value, "cannot be a type") for value in (None, "", "-a", "x" * 65)),
        ("input", None, "has no input"),
        ("input", bytes(PAYLOAD_MAX + 1), "the limit is 1048576"),
        ("input", wrap(bytes(PAYLOAD_MAX + SEALING_MAX)), "the limit is 1048576"),
        *(("digest", value, "must have 16 bytes") for value in (None, b"", bytes(17))),
        *(("priority", value, "is not between") for value in (None, -32769, 32768)),
        *(("delay", value, "is not between") for value in (None, -1, 4e8, float("nan"), float("inf"))),
        *(("attempts", value, "between 1 and 1000") for value in (0, -1, 1001)),
        *(("timeout", value, "must be above 0") for value in (0, -1, float("nan"), float("inf"))),
        *(("keep", value, "cannot be below 0") for value in (-1, float("nan"), float("inf"))),
    ],
)  # fmt: skip
def test_what_no_queue_takes_is_refused_in_words(
    db: psycopg.Connection, name: str, value: Any, said: str
) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue, match=said):
        add_one(db, **{name: value})
    assert ask(db, "SELECT count(*) FROM qmanager.tasks") == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("input", bytes(PAYLOAD_MAX)),
        ("input", wrap(bytes(PAYLOAD_MAX + 200))),
        ("priority", -32768),
        ("delay", 316224000),
        ("attempts", 1000),
        ("keep", 0),
        ("id", "A-Za.z0:9_" + "x" * 54),
    ],
)
def test_what_is_just_within_bounds_is_taken(db: psycopg.Connection, name: str, value: Any) -> None:
    assert add_one(db, **{name: value}) == ["created"]


def test_of_many_the_first_wrong_one_is_named(db: psycopg.Connection) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="digest of b must"):
        ask(
            db,
            "SELECT qmanager.add_tasks(%s, %s, %s, %s, %s, %s, NULL, NULL, NULL)",
            ["a", "b", "c d"], ["mail"] * 3, [b"\xc0"] * 3, [bytes(16), b"", b""], [0] * 3, [0.0] * 3,
        )  # fmt: skip


def test_options_that_are_left_out_are_the_types(db: psycopg.Connection) -> None:
    sql = "SELECT qmanager.add_tasks(%s, %s, %s, %s, %s, %s, NULL, NULL, NULL)"
    assert ask(db, sql, ["a"], ["mail"], [b"\xc0"], [bytes(16)], [0], [0.0]) == ["created"]
    assert ask(db, sql, [], [], [], [], [], []) == []


def test_it_walks_indexes_whatever_the_tables_were_when_it_was_planned(
    url: str, db: psycopg.Connection
) -> None:
    """A plan that was made while they were small must not read them whole when they have grown."""
    add_one(db, id="first")
    for table in ("tasks", "tombstones"):
        db.execute(f"INSERT INTO qmanager.tombstones VALUES ('{table}', '', 0)".encode())
        db.execute(f"VACUUM ANALYZE qmanager.{table}".encode())
    add_one(db, id="first")
    with psycopg.connect(url, autocommit=True) as other:
        other.execute(
            "SELECT qmanager.add_task('mail', '\\xc0', 'row-' || n) FROM generate_series(1, 3000) AS n"
        )
    before = read_whole(url, db)
    for n in range(20):
        add_one(db, id="first")
        add_one(db, id=f"next-{n}")
    assert read_whole(url, db) == before


def read_whole(url: str, db: psycopg.Connection) -> int:
    """Rows that were read by walking whole tables, up to now."""
    db.execute("SELECT pg_stat_force_next_flush()")
    with psycopg.connect(url, autocommit=True) as other:
        found = ask(
            other,
            "SELECT sum(seq_tup_read) FROM pg_stat_user_tables WHERE schemaname = 'qmanager' "
            "AND relname IN ('tasks', 'tombstones')",
        )
    return int(found)
