"""What befalls a database: connections end, servers stop, others hold locks. Nothing is lost, and the store
is back by itself."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TypeVar

import psycopg
import pytest

from qm.errors import NotCommitted, StoreError
from qm.messages import AddStatus, Details, Finish, ListQuery, Verdict
from qm.store.base import Transaction
from qm.store.postgres import PostgresStore, connection, schema
from qm.task import State
from qm.testing.contract.samples import DAY, NOW, add, added_and_taken, counts, finish, get, new, state
from tests.postgres import Cluster, own_cluster, want_postgres

T = TypeVar("T")

#: Tries of what must go well in the end, half a second apart; a link waits five between two of its own.
_TRIES = 60


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


def in_the_end(work: Callable[[], T]) -> T:
    """Says it again while it is not committed, as a client does."""
    pause = threading.Event()
    for _ in range(_TRIES):
        try:
            return work()
        except NotCommitted:
            pause.wait(0.5)
    return work()


def test_ended_connections_are_opened_anew(cluster: Cluster, store: PostgresStore, url: str) -> None:
    add(store, "a")
    assert cluster.end_connections(url) >= 3, "the lock, the writer, and a reader"
    assert in_the_end(lambda: store.add([new("b")], NOW)) == [AddStatus.CREATED]
    assert state(store, "a") is State.WAITING, "a reader is asked again without the caller's help"
    assert counts(store) == {"mail": {State.WAITING: 2}}


def test_readers_are_back_at_once(cluster: Cluster, store: PostgresStore, url: str) -> None:
    add(store, "a")
    for _ in range(3):
        cluster.end_connections(url)
        assert store.next_due() is None
        assert [task.id for task in store.list(ListQuery()).tasks] == ["a"]


def test_a_transaction_that_loses_its_connection_did_not_happen(
    cluster: Cluster, store: PostgresStore, url: str
) -> None:
    with pytest.raises(NotCommitted), store.begin() as tx:
        add(tx, "a")
        cluster.end_connections(url)
    assert counts(store) == {}
    assert in_the_end(lambda: store.add([new("a")], NOW)) == [AddStatus.CREATED]
    assert counts(store) == {"mail": {State.WAITING: 1}}


def test_a_part_that_loses_the_connection_undoes_the_whole(
    cluster: Cluster, store: PostgresStore, url: str
) -> None:
    def lose(tx: Transaction) -> None:
        add(tx, "a")
        with pytest.raises(NotCommitted), tx.savepoint():
            cluster.end_connections(url)
            add(tx, "b")
        with pytest.raises(NotCommitted), tx.savepoint():
            add(tx, "c")

    with pytest.raises(NotCommitted), store.begin() as tx:
        lose(tx)
    assert in_the_end(lambda: store.add([new("d")], NOW)) == [AddStatus.CREATED]
    assert counts(store) == {"mail": {State.WAITING: 1}}


def test_a_connection_lost_in_commit_is_neither_yes_nor_no_and_the_call_is_said_again(
    cluster: Cluster, store: PostgresStore, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = added_and_taken(store)
    whole = connection.Connection.commit

    def commit(self: connection.Connection) -> None:
        whole(self)  # it has held, and its answer does not come
        monkeypatch.undo()
        cluster.end_connections(url)
        self.execute("SELECT 1")

    monkeypatch.setattr(connection.Connection, "commit", commit)
    with pytest.raises(NotCommitted, match="could not commit"):
        store.finish(finish(lease), NOW, DAY)
    assert in_the_end(lambda: store.finish(finish(lease), NOW, DAY)) == [Verdict.REPEATED]
    assert counts(store) == {"mail": {State.DONE: 1}}, "counted though nobody heard of it"


def test_a_failed_statement_cannot_be_committed_over(store: PostgresStore) -> None:
    """The server answers COMMIT of a failed transaction with ROLLBACK, which is no error."""
    with pytest.raises(NotCommitted, match="undone"), store.begin() as tx:
        add(tx, "a")
        with pytest.raises(StoreError):
            tx.connection.execute("SELECT * FROM no_such_table")
            tx.connection.check()
    assert state(store, "a") is None
    add(store, "b")
    assert counts(store) == {"mail": {State.WAITING: 1}}


def test_a_server_that_crashes_and_is_started_again_has_lost_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.CRITICAL)
    cluster = own_cluster()
    try:
        with cluster.database() as url, closing(PostgresStore.open(url)) as store:
            lease = added_and_taken(store)
            add(store, "b")
            cluster.stop()
            with pytest.raises(NotCommitted):
                add(store, "c")
            with pytest.raises(NotCommitted):
                state(store, "a")
            cluster.start()
            assert in_the_end(lambda: store.finish(finish(lease), NOW, DAY)) == [Verdict.ACCEPTED]
            assert in_the_end(lambda: state(store, "b")) is State.WAITING
            assert counts(store) == {"mail": {State.WAITING: 1, State.DONE: 1}}
    finally:
        cluster.stop()


def test_a_server_that_came_back_as_a_standby_is_left(
    cluster: Cluster, store: PostgresStore, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    database = url.rpartition("/")[2]
    cluster.say(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
    try:
        cluster.end_connections(url)
        with pytest.raises(NotCommitted):
            for _ in range(2):
                add(store, "a")
        _until(lambda: "read-only" in caplog.text)
    finally:
        cluster.say(f"ALTER DATABASE {database} RESET default_transaction_read_only")
    assert in_the_end(lambda: store.add([new("a")], NOW)) == [AddStatus.CREATED]


@pytest.mark.parametrize("lost", [False, True])
def test_what_is_locked_by_others_for_long_is_told_and_not_waited_for(
    cluster: Cluster, url: str, lost: bool
) -> None:
    """Also over a connection that was opened anew."""
    with closing(PostgresStore.open(url)) as store:
        if lost:
            cluster.end_connections(url)
            in_the_end(lambda: store.add([new("b")], NOW))
        lease = added_and_taken(store)
        with psycopg.connect(url) as other:
            other.execute("SELECT * FROM qmanager.tasks FOR UPDATE")
            with pytest.raises(NotCommitted, match=r"another transaction .* holds what this needs"):
                store.finish(finish(lease), NOW, DAY)
        assert store.finish(finish(lease), NOW, DAY) == [Verdict.ACCEPTED]


def test_a_migration_of_another_manager_is_waited_for(url: str) -> None:
    with psycopg.connect(url) as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", (schema._LOCK,))
        timer = threading.Timer(0.6, other.rollback)  # longer than calls wait for a lock
        timer.start()
        try:
            PostgresStore.open(url).close()
        finally:
            timer.join()


def _until(there: Callable[[], bool]) -> None:
    """Waits for something that another thread does."""
    pause = threading.Event()
    for _ in range(1000):
        if there():
            return
        pause.wait(0.01)
    raise AssertionError("it did not happen")


def test_the_last_words_of_a_task_may_be_no_text(store: PostgresStore) -> None:
    """PostgreSQL keeps no NUL."""
    lease = added_and_taken(store)
    store.finish([Finish(lease, b"\0", Details(log="a\0b"))], NOW, DAY)
    assert [one.log for one in store.attempts("a")] == ["a\u2400b"]
    assert get(store, "a").output == b"\0"
