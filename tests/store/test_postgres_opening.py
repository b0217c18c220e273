"""A database that cannot be had is refused in words, and never with a password in them."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import repeat

import pytest

from qm.errors import BadRequest, StoreError, StoreForeign, StoreTooNew
from qm.store.postgres import PostgresStore, link, opening
from qm.store.postgres.address import Address
from qm.store.postgres.transaction import PostgresTransaction
from tests.postgres import Cluster, want_postgres


@pytest.fixture
def cluster() -> Cluster:
    return want_postgres()


def refusal(url: str) -> str:
    """What is said of `url`, with the hint."""
    with pytest.raises(StoreError) as raised:
        PostgresStore.open(url)
    return f"{raised.value}; {raised.value.hint}"


def test_no_server() -> None:
    said = refusal("postgresql://user:secret@127.0.0.1:1/queue")
    assert "cannot open the store postgresql://127.0.0.1:1/queue" in said
    assert "is the server running" in said
    assert "secret" not in said


def test_no_such_host() -> None:
    assert "no-such-host.invalid" in refusal("postgresql://no-such-host.invalid/queue")


@contextmanager
def refusing(answers: Sequence[str]) -> Iterator[str]:
    """The URL of a server that refuses everybody, with each of these words in turn and then with the last."""
    told = iter([*answers, *repeat(answers[-1], 100)])
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                with peer:
                    peer.recv(4096)  # who it is
                    fields = f"SFATAL\0VFATAL\0C57P03\0M{next(told)}\0\0".encode()
                    peer.sendall(b"E" + struct.pack("!I", len(fields) + 4) + fields)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"postgresql://somebody@127.0.0.1:{listener.getsockname()[1]}/queue?sslmode=disable"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_a_server_that_starts_or_recovers_is_waited_for() -> None:
    """The host came up with both of us; and a crash of the server may have ended us too."""
    starting = ["the database system is starting up", "the database system is in recovery mode"]
    with refusing([*starting, "the database system is full of eels"]) as url:
        assert "full of eels" in refusal(url)


def test_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "_STARTING", 0.25)
    with refusing(["the database system is shutting down"]) as url:
        said = refusal(url)
    assert "is shutting down" in said
    assert "try again when the server is up" in said


def test_no_such_database(cluster: Cluster) -> None:
    assert "CREATE DATABASE name ENCODING 'UTF8'" in refusal(cluster.url("nothing_here"))


def test_no_such_user(cluster: Cluster) -> None:
    assert "CREATE ROLE" in refusal(cluster.url("postgres", user="nobody_here"))


def test_a_wrong_password_and_none(cluster: Cluster) -> None:
    cluster.say("DROP ROLE IF EXISTS locked; CREATE ROLE locked LOGIN PASSWORD 'right'")
    url = cluster.url("postgres", user="locked")
    said = refusal(url.replace("locked@", "locked:wrong@"))
    assert "look at the user and the password" in said
    assert "wrong" not in said
    assert "~/.pgpass" in refusal(url)


def test_too_many_connections(cluster: Cluster) -> None:
    cluster.say("DROP ROLE IF EXISTS few; CREATE ROLE few LOGIN CONNECTION LIMIT 1")
    with cluster.database() as url:
        cluster.say(f"GRANT CREATE ON DATABASE {url.rpartition('/')[2]} TO few")
        assert "a manager wants up to 6" in refusal(url.replace("postgres@", "few@"))


def test_a_user_who_may_not_make_tables(cluster: Cluster) -> None:
    cluster.say("DROP ROLE IF EXISTS guest; CREATE ROLE guest LOGIN")
    with cluster.database() as url:
        assert "GRANT CREATE ON DATABASE" in refusal(url.replace("postgres@", "guest@"))


def test_a_user_who_may_not_connect(cluster: Cluster) -> None:
    cluster.say("DROP ROLE IF EXISTS guest; CREATE ROLE guest LOGIN")
    with cluster.database() as url:
        cluster.say(f"REVOKE CONNECT ON DATABASE {url.rpartition('/')[2]} FROM PUBLIC")
        assert "GRANT CONNECT ON DATABASE" in refusal(url.replace("postgres@", "guest@"))


def test_a_database_of_another_encoding(cluster: Cluster) -> None:
    cluster.say("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")
    try:
        assert "encoding LATIN1" in refusal(cluster.url("latin"))
    finally:
        cluster.say("DROP DATABASE latin")


def test_a_standby(cluster: Cluster) -> None:
    with cluster.database() as url:
        cluster.say(f"ALTER DATABASE {url.rpartition('/')[2]} SET default_transaction_read_only = on")
        assert "name the primary" in refusal(url)


def test_an_old_server(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    url = cluster.emptied()
    monkeypatch.setattr(opening, "_OLDEST", 990_000)
    assert "qmanager wants PostgreSQL 15 or later" in refusal(url)


def test_a_schema_of_another_program(cluster: Cluster) -> None:
    with cluster.database() as url:
        cluster.say("CREATE SCHEMA qmanager", url.rpartition("/")[2])
        with pytest.raises(StoreForeign, match="belongs to another program"):
            PostgresStore.open(url)


def test_a_schema_of_a_newer_version(cluster: Cluster) -> None:
    with cluster.database() as url:
        PostgresStore.open(url).close()
        cluster.say("INSERT INTO qmanager.migrations VALUES (999, 'later')", url.rpartition("/")[2])
        with pytest.raises(StoreTooNew, match="has schema 999, this qmanager knows"):
            PostgresStore.open(url)


def test_a_refusal_leaves_the_database_free(cluster: Cluster) -> None:
    with cluster.database() as url:
        database = url.rpartition("/")[2]
        cluster.say("CREATE SCHEMA qmanager", database)
        with pytest.raises(StoreForeign):
            PostgresStore.open(url)
        cluster.say("DROP SCHEMA qmanager", database)
        PostgresStore.open(url).close()


@pytest.mark.parametrize(
    ("durability", "sync", "said"),
    [("full", True, "on"), ("full", False, "off"), ("relaxed", True, "off"), ("relaxed", False, "off")],
)
def test_what_is_acknowledged_is_synced(cluster: Cluster, durability: str, sync: bool, said: str) -> None:
    with cluster.database() as url:
        cluster.say(f"ALTER DATABASE {url.rpartition('/')[2]} SET synchronous_commit = off")
        with closing(PostgresStore.open(url, durability=durability)) as store:  # type: ignore[arg-type]
            with store.begin(sync=sync) as tx:
                assert _shown(tx, "synchronous_commit") == said
            with store.begin() as tx:
                assert _shown(tx, "synchronous_commit") == ("on" if durability == "full" else "off")


def _shown(tx: PostgresTransaction, setting: str) -> str:
    row = tx.connection.db.execute(f"SHOW {setting}".encode()).fetchone()
    assert row is not None
    return str(row[0])


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:secret@h/d", "postgresql://h/d"),
        ("postgresql://u@h:1,g:2/d", "postgresql://h:1,g:2/d"),
        ("postgresql:///d?host=/run/postgresql&password=secret", "postgresql:///run/postgresql/d"),
        ("postgresql://", "postgresql:///"),
    ],
)
def test_an_address_is_shown_without_its_password(url: str, shown: str) -> None:
    assert str(Address(url)) == shown


def test_a_url_that_cannot_be_read_is_not_repeated() -> None:
    with pytest.raises(BadRequest) as raised:
        Address("postgresql://u:se cret@h:x y/d?no=such")
    assert "cret" not in f"{raised.value}{raised.value.hint}{raised.value.__cause__}"
