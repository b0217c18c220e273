"""What the statements do when another manager is at the same rows: none is lost, and none is had twice."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import psycopg
import pytest
from msgspec import structs

from qm.errors import NotCommitted
from qm.messages import AddStatus, Verdict
from qm.store.postgres import PostgresStore, ledger
from qm.store.postgres.address import Address
from qm.store.postgres.connection import Connection
from qm.store.postgres.ledger import Entry, Ledger
from qm.store.postgres.opening import connect
from qm.store.postgres.schema import migrate
from qm.store.postgres.transaction import PostgresTransaction
from qm.task import State
from qm.testing.contract.samples import (
    DAY,
    NOW,
    OTHER_SLOT,
    WORKER,
    add,
    added_and_taken,
    counts,
    ended,
    finish,
    new,
    take,
)
from tests.postgres import Cluster, want_postgres


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


@contextmanager
def rival(url: str) -> Iterator[PostgresTransaction]:
    """A transaction as another manager would have it, committed in the end."""
    connection = Connection(connect(Address(url), relaxed=True))
    known = Ledger()
    known.read(connection)
    entry = Entry(known, connection)
    try:
        connection.begin()
        yield PostgresTransaction(connection, entry, manager=1)
        entry.write()
        connection.commit()
    finally:
        connection.close()


def meanwhile(cluster: Cluster, work: Callable[[], object]) -> threading.Thread:
    """A thread that does `work`, by now waiting for a lock of the database."""
    thread = threading.Thread(target=work)
    thread.start()
    pause = threading.Event()
    for _ in range(1000):
        if cluster.say("SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'"):
            return thread
        pause.wait(0.01)
    raise AssertionError("it did not wait")


def test_of_two_adds_of_one_id_one_is_new(cluster: Cluster, url: str, store: PostgresStore) -> None:
    said: list[AddStatus] = []
    with rival(url) as other:
        add(other, "a", new("b"))
        batch = [new("a"), new("b", input_=b"other"), new("c")]
        thread = meanwhile(cluster, lambda: said.extend(store.add(batch, NOW)))
    thread.join()
    assert said == [AddStatus.DUPLICATE, AddStatus.CONFLICT, AddStatus.CREATED]


def test_a_take_passes_over_what_another_has(url: str, store: PostgresStore) -> None:
    add(store, "a", "b", "c")
    with rival(url) as other:
        assert [taken.id for taken in take(other, 2, slot=OTHER_SLOT)] == ["a", "b"]
        assert [taken.id for taken in take(store, 3)] == ["c"]
    assert take(store, 3) == []


def test_of_two_settlements_one_is_heard(cluster: Cluster, url: str, store: PostgresStore) -> None:
    lease = added_and_taken(store)
    said: list[Verdict] = []
    with rival(url) as other:
        other.release([lease], NOW)
        thread = meanwhile(cluster, lambda: said.extend(store.finish(finish(lease), NOW, DAY)))
    thread.join()
    assert said == [Verdict.LOST]


def test_a_task_that_is_requeued_meanwhile_is_not_forgotten(
    cluster: Cluster, url: str, store: PostgresStore
) -> None:
    ended(store, "a", State.FAILED)
    said: list[State | None] = []
    with rival(url) as other:
        other.requeue(["a"], NOW)
        thread = meanwhile(cluster, lambda: said.extend(store.forget(["a"], NOW + DAY)))
    thread.join()
    assert said == [State.WAITING]


def test_a_task_that_is_forgotten_meanwhile_is_not_added_again(
    cluster: Cluster, url: str, store: PostgresStore
) -> None:
    """A producer that resends its add to another manager must not give the task a second life."""
    ended(store, "a", State.DONE)

    def resend() -> None:
        with rival(url) as other, pytest.raises(NotCommitted, match="forgotten just now"):
            add(other, "a")

    with rival(url) as other:
        other.forget(["a"], NOW + DAY)
        thread = meanwhile(cluster, resend)
    thread.join()
    assert store.add([new("a")], NOW) == [AddStatus.DUPLICATE]


def test_counts_of_another_manager_are_read_and_folded(
    cluster: Cluster, url: str, store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "_FOLD", 3)
    with rival(url) as other:
        add(other, "a", new("b", "sms"))
    for name in ("c", "d", "e", "f"):
        add(store, name)
    rows = cluster.say("SELECT count(*) FROM qmanager.count_deltas", url.rpartition("/")[2])
    assert rows[0][0] <= 4, "they are folded as they grow"
    store.close()
    with closing(PostgresStore.open(url)) as opened:
        assert counts(opened) == {"mail": {State.WAITING: 5}, "sms": {State.WAITING: 1}}


def test_no_count_is_below_zero(url: str, store: PostgresStore) -> None:
    """Also while we have taken what we only know of by a hint, or not at all."""
    with rival(url) as other:
        add(other, "a", "b", "c", "d")
    store._ledger.believe({"mail": 3})
    assert len(take(store, 2)) == 2
    assert counts(store) == {"mail": {State.WAITING: 1, State.RUNNING: 2}}
    assert len(take(store, 2, slot=OTHER_SLOT)) == 2
    assert counts(store) == {"mail": {State.RUNNING: 4}}


def test_counts_that_cannot_be_summed_up_fail_nobodys_call(
    cluster: Cluster,
    url: str,
    store: PostgresStore,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(ledger, "_FOLD", 3)
    database = url.rpartition("/")[2]
    cluster.say("INSERT INTO qmanager.count_deltas VALUES ('sms', 'waiting', -5)", database)
    for name in ("a", "b", "c", "d", "e"):
        assert store.add([new(name)], NOW) == [AddStatus.CREATED]
    assert "the counts could not be summed up" in caplog.text
    assert counts(store) == {"mail": {State.WAITING: 5}}


def test_sessions_that_change_are_seen_in_whatever_order_they_commit(url: str, store: PostgresStore) -> None:
    one, two = (structs.replace(WORKER, session=session, types={}) for session in ("one", "two"))
    with closing(Connection(connect(Address(url), relaxed=True))) as reader:
        seen = [reader.run("sessions_version")]
        store.attach(one, NOW)
        seen += [reader.run("sessions_version")]
        with rival(url) as other:
            other.attach(one, NOW)
            store.attach(two, NOW)
            seen += [reader.run("sessions_version")]
        seen += [reader.run("sessions_version")]
    assert all(seen.count(one) == 1 for one in seen)


def test_numbers_rise_across_managers(url: str, store: PostgresStore) -> None:
    """What is added later runs later, whoever was told of it."""
    add(store, "a")
    with rival(url) as other:
        add(other, "b")
    add(store, "c")
    with rival(url) as other:
        assert [taken.id for taken in take(other, 3)] == ["a", "b", "c"]


def test_two_managers_that_start_at_once_migrate_once(cluster: Cluster) -> None:
    with cluster.database() as url:
        address = Address(url)
        connections = [connect(address, relaxed=True) for _ in range(2)]
        errors: list[Exception] = []

        def work(db: psycopg.Connection) -> None:
            try:
                migrate(db, address)
            except Exception as error:
                errors.append(error)

        threads = [threading.Thread(target=work, args=(db,)) for db in connections]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for db in connections:
            db.close()
        assert errors == []
        PostgresStore.open(url).close()
