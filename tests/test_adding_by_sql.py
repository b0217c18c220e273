"""qm.postgres: tasks that are added in a transaction of the user's own, in a real database with a manager."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest
import sqlalchemy
from msgspec.structs import asdict
from psycopg.rows import dict_row
from sqlalchemy.orm import Session

import qm
from qm.client.tasks import new_task
from qm.errors import BadRequest, IdConflict, StoreError
from qm.limits import ATTEMPTS_MAX, DELAY_MAX
from qm.messages import WorkerInfo
from qm.queue import Queue
from qm.sealing import new_key
from qm.store.postgres import PostgresStore
from qm.store.sql import migrations
from qm.store.sql.part import NEAR_MAX
from qm.task import State
from qm.testing.contract.samples import NOW, get, state
from tests.postgres import Cluster, want_postgres
from tests.queue.bench import PATIENCE, Call, a_claim


@pytest.fixture
def cluster() -> Cluster:
    return want_postgres()


@pytest.fixture
def url(cluster: Cluster) -> str:
    return cluster.emptied()


@pytest.fixture
def store(url: str) -> Iterator[PostgresStore]:
    with closing(PostgresStore.open(url)) as store:
        yield store


@pytest.fixture
def db(url: str, store: PostgresStore) -> Iterator[psycopg.Connection[Any]]:
    """The user's connection."""
    with psycopg.connect(url) as db:
        yield db


def test_a_task_is_there_exactly_if_the_commit_is(db: psycopg.Connection, store: PostgresStore) -> None:
    kept = qm.postgres.add(db, "mail", {"order": 42})
    assert state(store, kept) is None, "not yet"
    db.commit()
    assert state(store, kept) is State.WAITING
    undone = qm.postgres.add(db, "mail")
    db.rollback()
    assert state(store, undone) is None


def test_a_savepoint_undoes_its_part(db: psycopg.Connection, store: PostgresStore) -> None:
    first = qm.postgres.add(db, "mail")
    with db.transaction(force_rollback=True):
        second = qm.postgres.add(db, "mail")
    db.commit()
    assert [state(store, id_) for id_ in (first, second)] == [State.WAITING, None]


def test_it_is_the_same_task_as_a_clients(db: psycopg.Connection, store: PostgresStore) -> None:
    """Field by field, small inputs and large ones, due at once and later."""
    options: dict[str, Any] = {"priority": 7, "attempts": 3, "timeout": 5.0, "keep": 60.0}
    for number, (input_, delay) in enumerate([("small", 0.0), ("x" * 1000, 0.0), (None, 50.0)]):
        given = new_task("mail", input_, id=f"client-{number}", delay=delay, **options)
        store.add([given], NOW)
        qm.postgres.add(db, "mail", input_, id=f"sql-{number}", delay=delay, **options)
        db.commit()
        theirs, ours = (asdict(get(store, f"{who}-{number}")) for who in ("client", "sql"))
        for task in (theirs, ours):
            assert task.pop("id") and task.pop("added")
            task["due"] = task["due"] is not None
        assert ours == theirs
    rows = db.execute("SELECT id, digest, input IS NULL, n = seq FROM qmanager.tasks ORDER BY id").fetchall()
    assert [row[1:] for row in rows[:3]] == [row[1:] for row in rows[3:]]


def test_counts_are_kept(db: psycopg.Connection, store: PostgresStore) -> None:
    tasks = [new_task("mail"), new_task("sms", delay=9.0), new_task("mail")]
    assert qm.postgres.add_many(db, tasks) == [task.id for task in tasks]
    db.commit()
    with closing(PostgresStore.open(f"{store.address}".replace("//", "//postgres@"))) as other:
        assert other.counts() == {"mail": {State.WAITING: 2}, "sms": {State.SCHEDULED: 1}}


def test_said_twice_it_is_there_once(db: psycopg.Connection, store: PostgresStore) -> None:
    for _ in range(2):
        qm.postgres.add(db, "mail", 1, id="order-42")
    db.commit()
    assert qm.postgres.add(db, "mail", 1, id="order-42") == "order-42"
    assert qm.postgres.add_many(db, [new_task("mail", 2, id="twice")] * 2) == ["twice", "twice"]
    with pytest.raises(IdConflict, match="order-42"):
        qm.postgres.add(db, "mail", 2, id="order-42")
    with pytest.raises(IdConflict, match="thrice"):
        qm.postgres.add_many(db, [new_task("mail", n, id="thrice") for n in range(2)])
    db.commit()
    (row,) = db.execute("SELECT count(*) FROM qmanager.tasks").fetchall()
    assert row == (3,)


def test_an_id_that_is_gone_stays_known(db: psycopg.Connection, store: PostgresStore) -> None:
    store.add([new_task("mail", 1, id="order-42")], NOW)
    store.cancel(["order-42"], NOW, 0)
    store.forget(["order-42"], NOW + 1e9)
    assert qm.postgres.add(db, "mail", 1, id="order-42") == "order-42"
    with pytest.raises(IdConflict):
        qm.postgres.add(db, "mail", 2, id="order-42")
    db.commit()
    assert state(store, "order-42") is None


def test_a_parked_taker_has_it_with_the_commit_and_not_before(
    db: psycopg.Connection, store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qm.queue.neighbours.LOOK", 3600.0)  # the hint alone must do it
    queue = Queue(store)
    queue.start()
    try:
        queue.attach(WorkerInfo(session="pool", host="h", pid=1, processes=1, types={}))
        call = Call(queue.take, a_claim(types=["mail"]), PATIENCE)
        pause = threading.Event()
        while not queue.core.takers:
            pause.wait(0.01)
        id_ = qm.postgres.add(db, "mail")
        pause.wait(0.1)
        assert call.is_alive(), "it is not committed"
        db.commit()
        (taken,) = call.answer()
        assert taken.id == id_
        later = qm.postgres.add(db, "mail", delay=0.05)
        call = Call(queue.take, a_claim(2, types=["mail"], holding=[taken.lease]), PATIENCE)
        db.commit()
        assert [task.id for task in call.answer()] == [later]
    finally:
        queue.drain()


@pytest.mark.parametrize("kind", ["cursor", "dictionaries", "sqlalchemy", "session"])
def test_it_takes_what_programs_have(kind: str, url: str, store: PostgresStore) -> None:
    if kind == "cursor":
        with psycopg.connect(url) as db, db.cursor() as cursor:
            cursor.execute("SELECT 1")
            id_ = qm.postgres.add(cursor, "mail", "x")
            assert cursor.fetchall() == [(1,)], "its rows are its own"
    elif kind == "dictionaries":
        with psycopg.connect(url, row_factory=dict_row) as named:
            id_ = qm.postgres.add(named, "mail", "x")
    else:
        engine = sqlalchemy.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
        if kind == "sqlalchemy":
            with engine.begin() as connection:
                id_ = qm.postgres.add(connection, "mail", "x")
        else:
            with Session(engine) as session, session.begin():
                id_ = qm.postgres.add(session, "mail", "x")
        engine.dispose()
    assert state(store, id_) is State.WAITING


def test_it_is_there_for_asynchronous_programs(url: str, store: PostgresStore) -> None:
    async def work() -> list[str]:
        async with await psycopg.AsyncConnection.connect(url) as db:
            one = await qm.postgres.add_async(db, "mail")
            with pytest.raises(IdConflict):
                await qm.postgres.add_async(db, "sms", id=one)
            return [one, *await qm.postgres.add_many_async(db.cursor(), [new_task("mail")])]

    for id_ in asyncio.run(work()):
        assert state(store, id_) is State.WAITING


def test_inputs_are_sealed_where_keys_are_given(
    db: psycopg.Connection, store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    older, newer = new_key(), new_key()
    monkeypatch.setenv("QM_PAYLOAD_KEYS", older)
    id_ = qm.postgres.add(db, "mail", "a secret")
    monkeypatch.setenv("QM_PAYLOAD_KEYS", f"{newer},{older}")
    assert qm.postgres.add(db, "mail", "a secret", id=id_) == id_, "known from before the rotation"
    with pytest.raises(IdConflict):
        qm.postgres.add(db, "mail", "another", id=id_)
    db.commit()
    assert b"secret" not in get(store, id_).input


@pytest.mark.parametrize(
    "options",
    [{"priority": 40_000}, {"delay": -1.0}, {"delay": 2 * DELAY_MAX}, {"attempts": 0}, {"timeout": 0.0},
     {"keep": -1.0}, {"attempts": ATTEMPTS_MAX + 1}, {"timeout": float("inf")}],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_words(db: psycopg.Connection, options: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        qm.postgres.add(db, "mail", **options)


@pytest.mark.parametrize("column", ["a b", "", "x" * 65])
def test_ids_and_types_are_checked_in_the_database_too(db: psycopg.Connection, column: str) -> None:
    """Any language may call the function."""
    for id_, type_ in ((column, "mail"), ("a", column)):
        with pytest.raises(psycopg.Error) as raised:
            db.execute(
                "SELECT qmanager.add_tasks(ARRAY[%s], ARRAY[%s], ARRAY['x'::bytea], ARRAY[%s::bytea], "
                "ARRAY[0], ARRAY[0], ARRAY[NULL::bigint], ARRAY[NULL::float8], ARRAY[NULL::float8])",
                (id_, type_, bytes(16)),
            )
        assert raised.value.sqlstate == "QMBAD"
        db.rollback()


def test_a_role_of_an_application_may_add_and_nothing_else(
    cluster: Cluster, url: str, store: PostgresStore
) -> None:
    name = url.rpartition("/")[2]
    cluster.say("DROP ROLE IF EXISTS shop; CREATE ROLE shop LOGIN")
    with psycopg.connect(cluster.url(name, "shop")) as shop, pytest.raises(StoreError, match="may not add"):
        qm.postgres.add(shop, "mail")
    cluster.say("GRANT USAGE ON SCHEMA qmanager TO shop", name)
    cluster.say("GRANT EXECUTE ON FUNCTION qmanager.add_tasks TO shop", name)
    try:
        with psycopg.connect(cluster.url(name, "shop")) as shop:
            id_ = qm.postgres.add(shop, "mail")
        assert state(store, id_) is State.WAITING
        with psycopg.connect(cluster.url(name, "shop")) as shop, pytest.raises(psycopg.Error):
            shop.execute("SELECT * FROM qmanager.tasks")
    finally:
        cluster.say("DROP OWNED BY shop; DROP ROLE shop", name)


def test_a_database_without_a_queue_says_so(cluster: Cluster) -> None:
    with (
        psycopg.connect(cluster.url("postgres")) as db,
        pytest.raises(StoreError, match="no queue") as raised,
    ):
        qm.postgres.add(db, "mail")
    assert "--store" in str(raised.value.hint)


def test_what_is_no_connection_is_told_so() -> None:
    with pytest.raises(BadRequest, match="no connection"):
        qm.postgres.add(object(), "mail")


def test_the_function_keeps_inputs_where_the_manager_does() -> None:
    (text,) = [step.text for step in migrations("postgres") if "add_tasks" in step.text]
    assert f"near_max CONSTANT int := {NEAR_MAX};" in text
    assert f"BETWEEN 0 AND {DELAY_MAX:.0f}" in text
    assert f"BETWEEN 1 AND {ATTEMPTS_MAX} " in text
