"""The schema is the sum of its migrations, and managers go on beside those that work with them."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from qm.errors import Draining, NotCommitted, StoreBusy, StoreForeign, StoreTooNew, StoreTooOld
from qm.messages import Finish, Verdict
from qm.store import migrating, open_store
from qm.store.base import Store
from qm.store.postgres import PostgresStore, schema
from qm.store.postgres.address import Address
from qm.store.postgres.opening import connect
from qm.store.shared import Wants
from qm.store.sql import Migration, migrations
from qm.testing.contract.samples import DAY, HOUR, NOW, SLOT, WORKER, attached, counts, new
from tests.postgres import Cluster, want_postgres
from tests.store.catalog import describe

#: Written by tests/store/catalog.py.
KEPT = Path(__file__).with_name("postgres_schema.txt")

STEPS = migrations("postgres")
LAST = len(STEPS)

#: Made up: what a next version may add, beside this one or not.
WIDER = Migration(
    LAST + 1,
    f"{LAST + 1:04}_colour",
    "ALTER TABLE qmanager.tasks ADD COLUMN colour TEXT DEFAULT 'grey';"
    "CREATE TABLE qmanager.paint (n BIGINT PRIMARY KEY);"
    "CREATE INDEX added ON qmanager.tasks (added, colour)",
    oldest=LAST,
)
OTHER = Migration(
    LAST + 1, f"{LAST + 1:04}_rename", "ALTER TABLE qmanager.tasks RENAME priority TO rank", oldest=LAST + 1
)


@pytest.fixture
def cluster() -> Cluster:
    return want_postgres()


@pytest.fixture
def url(cluster: Cluster) -> Iterator[str]:
    with cluster.database() as url:
        yield url


def run_with(monkeypatch: pytest.MonkeyPatch, steps: Sequence[Migration], url: str) -> None:
    """`qmanager migrate` of a version that knows `steps`."""
    with monkeypatch.context() as patch:
        patch.setattr(schema, "migrations", lambda dialect: tuple(steps))
        migrating.migrate(url)


def work(store: Store, name: str) -> None:
    """All that a task goes through."""
    store.attach(WORKER, NOW)
    store.add([new(name), new(f"{name}-2")], NOW)
    first, second = (taken.lease for taken in store.take(SLOT, ["mail"], 2, NOW, HOUR))
    assert store.finish([Finish(first, b"\xc3")], NOW, DAY) == [Verdict.ACCEPTED]
    assert store.release([second], NOW) == [Verdict.ACCEPTED]
    store.cancel([f"{name}-2"], NOW, DAY)
    store.forget([f"{name}-2"], NOW + DAY)
    assert [task.id for task in store.get([name]) if task] == [name]


def test_the_schema_is_the_sum_of_the_migrations_as_it_was_kept(url: str) -> None:
    """Also found: a migration that was changed after others have applied it."""
    PostgresStore.open(url).close()
    assert describe(url) == KEPT.read_text(), "a migration changes this: see tests/store/catalog.py"


@pytest.mark.parametrize("version", range(1, LAST + 1))
def test_from_every_version_on_it_comes_to_the_same(
    url: str, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_with(monkeypatch, STEPS[:version], url)
    assert [step.version for step in migrating.plan(url)] == [*range(version + 1, LAST + 1)]
    with closing(open_store(url)) as store:
        work(store, "a")
    assert describe(url) == KEPT.read_text()


def test_programs_that_migrate_at_once_do_it_once(url: str) -> None:
    made: list[tuple[Migration, ...] | BaseException] = []

    def make() -> None:
        try:
            made.append(migrating.migrate(url))
        except BaseException as error:
            made.append(error)

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one for one in made if isinstance(one, BaseException)] == []
    assert describe(url) == KEPT.read_text()


def test_a_plan_changes_nothing(url: str, cluster: Cluster) -> None:
    assert migrating.plan(url) == STEPS
    database = url.rpartition("/")[2]
    assert cluster.say("SELECT 1 FROM pg_namespace WHERE nspname = 'qmanager'", database) == []
    with pytest.raises(StoreTooOld, match=f"misses {LAST} migrations: 0001_initial, 0002_oldest") as raised:
        open_store(url, may_migrate=False)
    assert "qmanager migrate --store" in (raised.value.hint or "")
    assert cluster.say("SELECT 1 FROM pg_namespace WHERE nspname = 'qmanager'", database) == []
    assert migrating.migrate(url) == STEPS
    assert migrating.plan(url) == migrating.migrate(url) == ()
    open_store(url, may_migrate=False).close()


def test_a_plan_of_another_programs_schema_is_refused(url: str, cluster: Cluster) -> None:
    cluster.say("CREATE SCHEMA qmanager", url.rpartition("/")[2])
    with pytest.raises(StoreForeign):
        migrating.plan(url)


def test_a_manager_goes_on_while_and_after_a_newer_one_adds_to_the_schema(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(open_store(url)) as store:
        work(store, "before")
        run_with(monkeypatch, [*STEPS, WIDER], url)
        work(store, "beside")
    with closing(open_store(url)) as store:
        work(store, "started again")
        assert sum(counts(store)["mail"].values()) == 3
    assert migrating.plan(url) == ()


def test_both_versions_see_what_the_other_does(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run_with(monkeypatch, [*STEPS, WIDER], url)
    with monkeypatch.context() as patch:
        patch.setattr(schema, "migrations", lambda dialect: (*STEPS, WIDER))
        newer = open_store(url, may_migrate=False)
    with closing(newer), closing(PostgresStore.open(url, may_migrate=False)) as older:
        newer.add([new("of the newer")], NOW)
        older.look(Wants(False, False), 0, lambda sight: None)
        attached(older)
        (taken,) = older.take(SLOT, ["mail"], 9, NOW, HOUR)
        assert taken.id == "of the newer"


def test_a_migration_that_an_older_manager_cannot_follow_waits_for_its_end(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(open_store(url)) as store:
        with pytest.raises(
            StoreBusy, match=f"{OTHER.name} .* is nothing for the older managers that run: qmanager"
        ):
            run_with(monkeypatch, [*STEPS, OTHER], url)
        work(store, "a")
    run_with(monkeypatch, [*STEPS, OTHER], url)
    with pytest.raises(StoreTooNew, match=f"has schema {LAST + 1}, this qmanager knows {LAST}") as raised:
        open_store(url)
    assert f"knows schema {LAST + 1}" in (raised.value.hint or "")


def test_a_manager_whose_connections_were_lost_still_says_what_it_knows(
    url: str, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(open_store(url)) as store:
        cluster.end_connections(url)
        _once_it_is_back(store)
        with pytest.raises(StoreBusy):
            run_with(monkeypatch, [*STEPS, OTHER], url)


def test_a_manager_that_was_away_while_the_schema_left_it_ends(url: str, cluster: Cluster) -> None:
    told: list[BaseException] = []
    heard = threading.Event()

    def hear(why: BaseException) -> None:
        told.append(why)
        heard.set()

    with closing(PostgresStore.open(url)) as store:
        store.listen(hear)
        later = (
            f"INSERT INTO qmanager.migrations (version, name, oldest) VALUES ({LAST + 1}, 'x', {LAST + 1})"
        )
        cluster.say(later, url.rpartition("/")[2])
        cluster.end_connections(url)
        with pytest.raises(NotCommitted):
            store.add([new("a")], NOW)
        assert heard.wait(30)
        assert isinstance(told[0], StoreTooNew)
        with pytest.raises(Draining):
            store.add([new("a")], NOW)


def test_one_step_that_does_not_work_with_us_is_enough(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    later = WIDER._replace(version=LAST + 2, name="later", text="SELECT 1", oldest=1)
    run_with(monkeypatch, [*STEPS, OTHER, later], url)
    with pytest.raises(StoreTooNew):
        open_store(url)


def test_who_starts_during_a_migration_waits_and_then_sees_it(url: str) -> None:
    """Else it could look before, and go on with what it does not know."""
    migrating.migrate(url)
    address = Address(url)
    entered, refused = threading.Event(), []

    def start() -> None:
        with connect(address, relaxed=True) as db:
            entered.set()
            try:
                schema.admit(db, address)
            except StoreTooNew as error:
                refused.append(error)

    with psycopg.connect(url) as migrating_:
        _lock_as_a_migration(migrating_)
        thread = threading.Thread(target=start)
        thread.start()
        entered.wait()
        _wait_for_a_waiter(url)
        migrating_.execute(
            "INSERT INTO qmanager.migrations (version, name, oldest) VALUES (%s, 'later', %s)",
            (LAST + 1, LAST + 1),
        )
        migrating_.commit()
    thread.join()
    assert len(refused) == 1


def test_a_migration_that_fails_leaves_the_schema_as_it_was(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = WIDER._replace(text=f"{WIDER.text}; SELECT 1 / 0")
    migrating.migrate(url)
    with pytest.raises(Exception, match="division by zero"):
        run_with(monkeypatch, [*STEPS, broken], url)
    assert describe(url) == KEPT.read_text()


@pytest.mark.parametrize(("oldest", "version"), [(0, 1), (3, 2)])
def test_a_migration_cannot_work_with_what_never_was(oldest: int, version: int) -> None:
    from qm.store import sql

    with pytest.raises(ValueError, match="cannot work with programs of schema"):
        sql._migration(f"{version:04}_x.sql", f"-- oldest: {oldest}\nSELECT 1")


def test_a_migration_that_says_nothing_is_for_its_own_version_alone() -> None:
    from qm.store import sql

    assert sql._migration("0007_x.sql", "SELECT 1").oldest == 7


def _once_it_is_back(store: Store) -> None:
    for _ in range(100):  # each waits a moment by itself
        try:
            store.add([new("back")], NOW)
        except NotCommitted:
            continue
        return
    raise AssertionError("the store did not come back")


def _lock_as_a_migration(db: psycopg.Connection[Any]) -> None:
    db.execute("SELECT pg_advisory_xact_lock(%s)", (schema._LOCK,))


def _wait_for_a_waiter(url: str) -> None:
    pause = threading.Event()
    with psycopg.connect(url, autocommit=True) as db:
        for _ in range(1000):
            (waiting,) = db.execute(
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            ).fetchone() or (0,)
            if waiting:
                return
            pause.wait(0.01)
    raise AssertionError("nobody waits for the migration")
