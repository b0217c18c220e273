"""A task that is added in a user's transaction exists exactly if that is committed."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest
from psycopg import IsolationLevel
from psycopg.rows import class_row, dict_row

import qm.postgres
from qm import new_task
from qm.errors import BadPayload, BadRequest, IdConflict, NotAllowed, StoreError, TooLarge
from qm.limits import ATTEMPTS_MAX, DELAY_MAX, PAYLOAD_MAX, SEALING_MAX
from qm.messages import AddStatus, NewTask
from qm.payload import token_of
from qm.sealing import Keyring, PayloadKeys, Place, Purpose, new_key
from qm.store.postgres import PostgresStore
from qm.store.sql import migrations
from qm.store.sql.part import NEAR_MAX
from qm.task import State
from tests.postgres import Cluster, want_postgres
from tests.queue.bench import PATIENCE

OPTIONS: dict[str, Any] = {
    "plain": {},
    "all": {"priority": -7, "attempts": 3, "timeout": 60, "keep": 3600.5},
    "delayed": {"delay": 60},
}


@pytest.fixture
def cluster() -> Cluster:
    return want_postgres()


@pytest.fixture
def url(cluster: Cluster) -> str:
    return cluster.emptied()


@pytest.fixture
def db(url: str) -> Iterator[psycopg.Connection]:
    with closing(psycopg.connect(url)) as db:
        yield db


def tasks(url: str) -> list[dict[str, Any]]:
    """The committed rows."""
    with psycopg.connect(url, row_factory=dict_row) as db:
        return db.execute("SELECT * FROM qmanager.tasks ORDER BY n").fetchall()


def ids(url: str) -> list[str]:
    return [row["id"] for row in tasks(url)]


def counts(url: str) -> dict[str, dict[State, int]]:
    """The counts as a manager that comes now reads them."""
    with closing(PostgresStore.open(url)) as store:
        return store.counts()


def test_it_is_there_with_the_commit_and_not_before(url: str, db: psycopg.Connection) -> None:
    id_ = qm.postgres.add(db, "mail", {"to": "ana"})
    assert tasks(url) == []
    db.commit()
    assert ids(url) == [id_]
    assert counts(url) == {"mail": {State.WAITING: 1}}


def test_it_is_not_there_after_a_rollback(url: str, db: psycopg.Connection) -> None:
    qm.postgres.add(db, "mail", b"x" * 1000)
    db.rollback()
    assert tasks(url) == []
    assert counts(url) == {}
    assert db.execute("SELECT count(*) FROM qmanager.inputs").fetchone() == (0,)


def test_a_savepoint_takes_back_what_followed_it(url: str, db: psycopg.Connection) -> None:
    with db.transaction():
        qm.postgres.add(db, "mail", id="kept")
        with pytest.raises(ZeroDivisionError), db.transaction():
            qm.postgres.add(db, "mail", id="undone")
            raise ZeroDivisionError
    assert ids(url) == ["kept"]
    assert counts(url) == {"mail": {State.WAITING: 1}}


def test_in_autocommit_it_is_there_at_once(url: str, db: psycopg.Connection) -> None:
    db.autocommit = True
    assert ids(url) == [] != [qm.postgres.add(db, "mail", id="a")] == ids(url)


@pytest.mark.parametrize("input_", [None, b"x" * NEAR_MAX, b"x" * 10_000], ids=["none", "near", "far"])
@pytest.mark.parametrize("options", OPTIONS)
def test_it_equals_one_that_a_manager_stored(
    url: str, db: psycopg.Connection, input_: Any, options: str
) -> None:
    """Row by row and field by field, but for its number and its moments."""
    task = new_task("mail", input_, id="a", **OPTIONS[options])
    with closing(PostgresStore.open(url)) as store, store.begin() as tx:
        (moment,) = db.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone() or ()
        assert tx.add([task], moment) == [AddStatus.CREATED]
    theirs = everything(url)
    db.execute("TRUNCATE qmanager.tasks, qmanager.inputs, qmanager.count_deltas, qmanager.counts")
    qm.postgres.add(db, "mail", input_, id="a", **OPTIONS[options])
    db.commit()
    ours = everything(url)
    (their_task,), (our_task,) = theirs["tasks"], ours["tasks"]
    for moment_of in ("added", "due"):
        their_moment, our_moment = their_task.pop(moment_of), our_task.pop(moment_of)
        assert our_moment == pytest.approx(their_moment, abs=PATIENCE)
    assert our_task.pop("n") == our_task.pop("seq")
    assert their_task.pop("n") == their_task.pop("seq")
    assert ours == theirs


def everything(url: str) -> dict[str, list[dict[str, Any]]]:
    with psycopg.connect(url, row_factory=dict_row) as db:
        return {
            "tasks": db.execute("SELECT * FROM qmanager.tasks").fetchall(),
            "inputs": db.execute("SELECT data FROM qmanager.inputs").fetchall(),
            "counts": db.execute("SELECT * FROM qmanager.count_deltas").fetchall(),
        }


def test_the_bounds_in_the_function_are_ours() -> None:
    (text,) = (step.text for step in migrations("postgres") if step.name == "0004_add_tasks")
    assert f":= {NEAR_MAX};" in text
    assert f"> {PAYLOAD_MAX} + {SEALING_MAX}" in text
    assert f"BETWEEN 0 AND {DELAY_MAX:.0f})" in text
    assert f"BETWEEN 1 AND {ATTEMPTS_MAX}" in text


def test_said_twice_it_is_there_once(url: str, db: psycopg.Connection) -> None:
    for _ in range(2):
        assert qm.postgres.add(db, "mail", 1, id="a") == "a"
    db.commit()
    assert qm.postgres.add(db, "mail", 1, id="a") == "a"
    db.commit()
    assert ids(url) == ["a"]
    assert counts(url) == {"mail": {State.WAITING: 1}}


def test_what_the_client_added_is_known(url: str, db: psycopg.Connection) -> None:
    with closing(PostgresStore.open(url)) as store:
        with store.begin() as tx:
            tx.add([new_task("mail", 1, id="a")], 0.0)
        qm.postgres.add(db, "mail", 1, id="a")
        qm.postgres.add(db, "mail", 2, id="b")
        db.commit()
        with store.begin() as tx:
            again = [new_task("mail", 2, id="b"), new_task("mail", 3, id="b")]
            assert tx.add(again, 0.0) == [AddStatus.DUPLICATE, AddStatus.CONFLICT]


def test_an_id_of_another_task_is_an_error_and_the_transaction_goes_on(
    url: str, db: psycopg.Connection
) -> None:
    qm.postgres.add(db, "mail", 1, id="a")
    with pytest.raises(IdConflict, match="'a' belongs to a task with another type or input"):
        qm.postgres.add(db, "mail", 2, id="a")
    with pytest.raises(IdConflict):
        qm.postgres.add(db, "sms", 1, id="a")
    db.commit()
    assert ids(url) == ["a"]


def test_the_id_of_a_forgotten_task_is_known(url: str, db: psycopg.Connection) -> None:
    digest = new_task("mail", 1).digest
    db.execute("INSERT INTO qmanager.tombstones VALUES ('a', %s, 1e12)", [digest])
    assert qm.postgres.add(db, "mail", 1, id="a") == "a"
    with pytest.raises(IdConflict):
        qm.postgres.add(db, "mail", 2, id="a")
    db.commit()
    assert ids(url) == []
    assert counts(url) == {}


def test_the_id_of_a_task_that_is_being_forgotten_makes_no_second_task(
    cluster: Cluster, url: str, db: psycopg.Connection
) -> None:
    """Our add waits for its row to go, and must see what was left behind."""
    qm.postgres.add(db, "mail", 1, id="a")
    db.commit()
    db.execute("INSERT INTO qmanager.tombstones SELECT id, digest, 1e12 FROM qmanager.tasks")
    db.execute("DELETE FROM qmanager.tasks")
    errors: list[BaseException] = []

    def add() -> None:
        with psycopg.connect(url) as other:
            try:
                qm.postgres.add(other, "mail", 1, id="a")
            except psycopg.errors.SerializationFailure as error:
                errors.append(error)
                other.rollback()

    thread = threading.Thread(target=add)
    thread.start()
    until_it_waits(cluster)
    db.commit()
    thread.join(PATIENCE)
    assert len(errors) == 1
    assert ids(url) == []


@pytest.mark.parametrize("level", [IsolationLevel.REPEATABLE_READ, IsolationLevel.SERIALIZABLE])
def test_nor_does_the_id_of_one_that_was_forgotten_since_the_transaction_began(
    url: str, db: psycopg.Connection, level: IsolationLevel
) -> None:
    """Its tombstone is not to be seen in there."""
    qm.postgres.add(db, "mail", 1, id="a")
    db.commit()
    with psycopg.connect(url) as other:
        other.isolation_level = level
        assert other.execute("SELECT count(*) FROM qmanager.tasks").fetchone() == (1,)
        db.execute("INSERT INTO qmanager.tombstones SELECT id, digest, 1e12 FROM qmanager.tasks")
        db.execute("DELETE FROM qmanager.tasks")
        db.commit()
        with pytest.raises(psycopg.errors.SerializationFailure):
            qm.postgres.add(other, "mail", 1, id="a")
        other.rollback()
        assert qm.postgres.add(other, "mail", 1, id="a") == "a"
        assert qm.postgres.add(other, "mail", 1, id="b") == "b"
    assert ids(url) == ["b"]
    assert db.execute("SELECT id FROM qmanager.tombstones").fetchall() == [("a",)]


def test_an_id_that_an_open_transaction_adds_is_waited_for(
    cluster: Cluster, url: str, db: psycopg.Connection
) -> None:
    qm.postgres.add(db, "mail", 1, id="a")
    found: list[str] = []

    def add() -> None:
        with psycopg.connect(url) as other:
            found.append(qm.postgres.add(other, "mail", 1, id="a"))
            with pytest.raises(IdConflict):
                qm.postgres.add(other, "mail", 2, id="a")

    thread = threading.Thread(target=add)
    thread.start()
    until_it_waits(cluster)
    assert found == []
    db.commit()
    thread.join(PATIENCE)
    assert found == ids(url) == ["a"]
    assert counts(url) == {"mail": {State.WAITING: 1}}


def until_it_waits(cluster: Cluster) -> None:
    pause = threading.Event()
    for _ in range(int(PATIENCE / 0.01)):
        if cluster.say("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"):
            return
        pause.wait(0.01)
    raise AssertionError("nobody waits")


def test_many_are_added_in_order(url: str, db: psycopg.Connection) -> None:
    given = [new_task("mail" if n % 3 else "sms", n, id=f"t{n:04}") for n in reversed(range(1000))]
    found = qm.postgres.add_many(db, iter(given))
    db.commit()
    assert found == ids(url) == [task.id for task in given]
    assert counts(url) == {"mail": {State.WAITING: 666}, "sms": {State.WAITING: 334}}


def test_none_at_all(db: psycopg.Connection) -> None:
    assert qm.postgres.add_many(db, []) == []


def test_an_id_twice_among_many(url: str, db: psycopg.Connection) -> None:
    first, again = new_task("mail", 1, id="a"), new_task("mail", 1, id="a", priority=3)
    assert qm.postgres.add_many(db, [first, again]) == ["a", "a"]
    with pytest.raises(IdConflict, match="'b' belongs"):
        qm.postgres.add_many(db, [new_task("mail", 1, id="b"), new_task("mail", 2, id="b"), new_task("mail")])
    db.commit()
    assert [(row["id"], row["priority"]) for row in tasks(url)][:2] == [("a", 0), ("b", 0)]
    assert len(tasks(url)) == 3


def test_options_of_each_kind_in_one_batch(url: str, db: psycopg.Connection) -> None:
    qm.postgres.add_many(db, [new_task("mail", **options) for options in OPTIONS.values()])
    db.commit()
    found = [(row["state"], row["timeout"], row["keep"]) for row in tasks(url)]
    assert found == [("waiting", None, None), ("waiting", 60.0, 3600.5), ("scheduled", None, None)]
    assert counts(url) == {"mail": {State.WAITING: 2, State.SCHEDULED: 1}}


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"id": "a b"}, BadRequest, "cannot be an id"),
        ({"type": "-x"}, BadRequest, "cannot be a type"),
        ({"input": {1, object()}}, BadPayload, "cannot be packed"),
        ({"input": b"x" * PAYLOAD_MAX}, TooLarge, "the limit is"),
        ({"priority": 40_000}, BadRequest, "priority 40000 is not between"),
        ({"priority": 2**70}, BadRequest, "cannot be added|is not between"),
        ({"priority": 1.5}, BadRequest, "Expected `int`"),
        ({"delay": -1}, BadRequest, "a delay of -1 s"),
        ({"delay": float("nan")}, BadRequest, "a delay of nan s"),
        ({"delay": "soon"}, BadRequest, "Expected `float`, got `str`"),
        ({"attempts": 0}, BadRequest, "at least 1"),
        ({"attempts": 5000}, BadRequest, "is over 1000"),
        ({"timeout": 0}, BadRequest, "it must be above 0"),
        ({"timeout": float("inf")}, BadRequest, "a time without end"),
        ({"keep": -1}, BadRequest, "it cannot be below 0"),
    ],
)
def test_bad_input_is_said_in_words_and_leaves_the_transaction(
    url: str, db: psycopg.Connection, options: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        qm.postgres.add(db, **{"type": "mail", **options})
    qm.postgres.add(db, "mail", id="a")
    db.commit()
    assert ids(url) == ["a"]


def test_by_a_cursor_that_has_rows_of_its_own(url: str, db: psycopg.Connection) -> None:
    cursor = db.cursor(row_factory=dict_row)
    cursor.execute("SELECT * FROM generate_series(1, 3) AS n")
    qm.postgres.add(cursor, "mail", id="a")
    assert cursor.fetchall() == [{"n": 1}, {"n": 2}, {"n": 3}]
    db.commit()
    assert ids(url) == ["a"]


@pytest.mark.parametrize("factory", [psycopg.RawCursor, psycopg.ClientCursor])
def test_by_a_connection_with_ways_of_its_own(url: str, factory: Any) -> None:
    with psycopg.connect(url, row_factory=class_row(NewTask), cursor_factory=factory) as db:
        qm.postgres.add(db, "mail", b"\0\xff" * 100, id="a", timeout=3)
    assert ids(url) == ["a"]


def test_with_await(url: str) -> None:
    async def run() -> list[str]:
        async with await psycopg.AsyncConnection.connect(url, row_factory=dict_row) as db:
            found = [await qm.postgres.add_async(db, "mail", 1, id="a")]
            found.append(await qm.postgres.add_async(db.cursor(), "mail", 2, notify=False))
            found += await qm.postgres.add_many_async(db, [new_task("mail", n) for n in range(600)])
            with pytest.raises(IdConflict):
                await qm.postgres.add_async(db, "mail", 2, id="a")
            assert tasks(url) == []
        return found

    assert asyncio.run(run()) == ids(url)
    assert counts(url) == {"mail": {State.WAITING: 602}}


def test_the_wrong_kind_of_connection_is_said_so(url: str, db: psycopg.Connection) -> None:
    async def run() -> None:
        async with await psycopg.AsyncConnection.connect(url) as other:
            for given in (other, other.cursor()):
                with pytest.raises(BadRequest, match="is asynchronous") as raised:
                    qm.postgres.add(given, "mail")
                assert "add_async" in str(raised.value.hint)
        with pytest.raises(BadRequest, match="no asynchronous connection"):
            await qm.postgres.add_async(db, "mail")

    asyncio.run(run())
    for given in (None, url, object()):
        with pytest.raises(BadRequest, match="is no connection of psycopg 3") as raised:
            qm.postgres.add(given, "mail")
        assert "qmanager.add_task" in str(raised.value.hint)


def test_a_database_without_a_queue(cluster: Cluster) -> None:
    with cluster.database() as url, psycopg.connect(url) as db:
        with pytest.raises(StoreError, match="has no queue") as raised:
            qm.postgres.add(db, "mail")
        assert "start qmanager with this database" in str(raised.value.hint)


def test_a_queue_of_an_older_version_until_a_manager_has_migrated_it(cluster: Cluster) -> None:
    with cluster.database() as url, psycopg.connect(url) as db:
        older = [step for step in migrations("postgres") if step.version < 4]
        for step in older:
            db.execute(step.text.encode())
            db.execute("INSERT INTO qmanager.migrations VALUES (%s, %s)", (step.version, step.name))
        db.commit()
        with pytest.raises(StoreError, match="or one of an older qmanager"):
            qm.postgres.add(db, "mail")
        db.rollback()
        PostgresStore.open(url).close()
        assert qm.postgres.add(db, "mail", id="a") == "a"


def test_other_errors_of_the_database_are_its_own(db: psycopg.Connection) -> None:
    with pytest.raises(psycopg.errors.UndefinedTable):
        db.execute("SELECT * FROM nothing_here")
    with pytest.raises(psycopg.errors.InFailedSqlTransaction):
        qm.postgres.add(db, "mail")
    db.rollback()
    db.execute("SET TRANSACTION READ ONLY")
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        qm.postgres.add(db, "mail")


def test_inputs_are_sealed_with_payload_keys(
    url: str, db: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = new_key(), new_key()
    monkeypatch.setenv("QM_PAYLOAD_KEYS", old)
    qm.postgres.add(db, "mail", "secret", id="a")
    qm.postgres.add(db, "mail", b"x" * (PAYLOAD_MAX - 10), id="large")
    db.commit()
    row = tasks(url)[0]
    assert token_of(row["input"]) is not None
    opened = Keyring(PayloadKeys((old,))).open(Place(Purpose.INPUT, "a", "mail"), row["input"])
    assert opened == new_task("mail", "secret").input
    monkeypatch.setenv("QM_PAYLOAD_KEYS", f"{new},{old}")
    assert qm.postgres.add(db, "mail", "secret", id="a") == "a", "known, though its key is the older one"
    with pytest.raises(IdConflict):
        qm.postgres.add(db, "mail", "other", id="a")
    db.commit()
    assert ids(url) == ["a", "large"]


def test_a_role_may_be_given_this_and_nothing_else(cluster: Cluster, url: str) -> None:
    cluster.say("DROP ROLE IF EXISTS shop; CREATE ROLE shop LOGIN")
    with psycopg.connect(url.replace("postgres@", "shop@")) as db:
        with pytest.raises(NotAllowed, match="permission denied for schema qmanager"):
            qm.postgres.add(db, "mail")
        db.rollback()
        grant(cluster, "GRANT USAGE ON SCHEMA qmanager TO shop")
        with pytest.raises(NotAllowed, match="permission denied for function add_tasks") as raised:
            qm.postgres.add(db, "mail")
        assert "GRANT EXECUTE ON FUNCTION qmanager.add_tasks" in str(raised.value.hint)
        db.rollback()
        try:
            grant(cluster, "GRANT EXECUTE ON FUNCTION qmanager.add_tasks, qmanager.add_task TO shop")
            qm.postgres.add(db, "mail", b"x" * 1000, id="a")
            db.execute("SELECT qmanager.add_task('mail', '\\xc0', 'b')")
            db.commit()
            for table in ("tasks", "inputs", "count_deltas", "counts", "tombstones", "managers", "sessions"):
                for sql in (f"SELECT FROM qmanager.{table}", f"DELETE FROM qmanager.{table}"):
                    with pytest.raises(psycopg.errors.InsufficientPrivilege):
                        db.execute(sql.encode())
                    db.rollback()
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                db.execute("SELECT nextval('qmanager.numbers')")
        finally:
            db.rollback()
            cluster.say("DROP OWNED BY shop", "emptied")
    assert ids(url) == ["a", "b"]


def grant(cluster: Cluster, sql: str) -> None:
    cluster.say(sql, "emptied")


def test_a_role_cannot_have_the_function_use_tables_of_its_own(cluster: Cluster, url: str) -> None:
    cluster.say("DROP ROLE IF EXISTS thief; CREATE ROLE thief LOGIN")
    grant(cluster, "GRANT USAGE ON SCHEMA qmanager TO thief")
    grant(cluster, "GRANT EXECUTE ON FUNCTION qmanager.add_tasks TO thief")
    try:
        with psycopg.connect(url.replace("postgres@", "thief@")) as db:
            db.execute("CREATE TEMP TABLE tasks (LIKE pg_class); SET search_path = pg_temp")
            qm.postgres.add(db, "mail", id="a")
        assert ids(url) == ["a"]
    finally:
        cluster.say("DROP OWNED BY thief", "emptied")


def test_without_psycopg_it_says_what_to_install() -> None:
    code = "import sys; sys.modules['psycopg'] = None\nimport qm.postgres"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "pip install 'qmanager[postgres]'" in done.stderr.splitlines()[-1]
