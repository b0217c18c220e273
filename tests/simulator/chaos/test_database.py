"""What is done to the database: to a real one, whose managers are only connections here."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from qm.errors import QueueError
from qm.simulator.chaos.database import Database
from tests.postgres import want_postgres


def database(url: str, folder: Path, command: str | None = None) -> Database:
    return Database(url, command, folder / "database.log")


def lives(db: psycopg.Connection[tuple[int]]) -> bool:
    try:
        db.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


def test_the_connections_of_managers_to_this_database_are_ended_and_no_others(tmp_path: Path) -> None:
    cluster = want_postgres()
    with cluster.database() as url, cluster.database() as other:
        manager = psycopg.connect(url, application_name="qmanager here:1", autocommit=True)
        stranger = psycopg.connect(url, application_name="psql", autocommit=True)
        elsewhere = psycopg.connect(other, application_name="qmanager here:2", autocommit=True)
        with manager, stranger, elsewhere:
            ours = database(url, tmp_path)
            assert ours.end_connections()
            assert (lives(manager), lives(stranger), lives(elsewhere)) == (False, True, True)
            assert not ours.end_connections()


def test_a_server_that_is_away_has_no_connections_to_end(tmp_path: Path) -> None:
    assert not database("postgresql://127.0.0.1:1/nowhere", tmp_path).end_connections()


def test_the_command_crashes_it_once_at_a_time(tmp_path: Path) -> None:
    ours = database("postgresql://127.0.0.1:1/nowhere", tmp_path, "exit 0")
    assert ours.look() is None
    assert ours.crash() and ours.is_crashing
    assert not ours.crash()
    ours.end()
    crashed = ours.look()
    assert crashed is not None and crashed.began <= crashed.ended
    assert not ours.is_crashing and ours.look() is None
    assert ours.crash()
    ours.end()


def test_without_a_command_it_is_let_alone(tmp_path: Path) -> None:
    assert not database("postgresql://127.0.0.1:1/nowhere", tmp_path).crash()


def test_a_command_that_fails_is_told_with_where_its_words_are(tmp_path: Path) -> None:
    ours = database("postgresql://127.0.0.1:1/nowhere", tmp_path, "echo no such server; exit 3")
    ours.crash()
    ours.end()
    with pytest.raises(QueueError, match="exit code 3") as raised:
        ours.look()
    assert raised.value.hint == "what it said is in database.log"
    assert (tmp_path / "database.log").read_text() == "no such server\n"
