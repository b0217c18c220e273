"""qmanager migrate, and a manager that may not."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import apsw
import pytest

from qm.cli import qmanager
from qm.store.sql import migrations
from qm.store.sqlite import SQLiteStore
from qm.testing.contract.samples import new
from tests.postgres import want_postgres

QUIET = ("--http", "off", "--rpc", "127.0.0.1:0")
STEPS = [step.name for step in migrations("sqlite")]


@pytest.fixture
def old(home: Path) -> Path:
    """A store of the first version with a task, where qmanager looks by itself."""
    home.mkdir(parents=True, exist_ok=True)
    path = home / "queue.db"
    first, *_ = migrations("sqlite")
    db = apsw.Connection(str(path))
    db.execute("PRAGMA journal_mode = WAL")
    db.execute(f"PRAGMA application_id = {0x716D6772}; {first.text}; PRAGMA user_version = 1")
    db.close()
    return path


def test_a_plan_names_what_is_missing_and_changes_nothing(
    old: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = old.read_bytes()
    assert qmanager.main(["migrate", "--plan"]) == 0
    assert capsys.readouterr().out == f"{STEPS[1]}\nsqlite:{old}: 1 migration to make\n"
    assert qmanager.main(["migrate", "--sql"]) == 0
    assert "DROP INDEX ended;\n" in capsys.readouterr().out
    assert old.read_bytes() == before
    assert not old.with_name("queue.db.bak-v1").exists()


def test_a_store_is_migrated_with_a_copy_beside_it(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert qmanager.main(["migrate"]) == 0
    said = capsys.readouterr()
    assert said.out == f"{STEPS[1]}\nsqlite:{old}: 1 migration made\n"
    assert ".bak-v1 behind its name" in said.err
    assert old.with_name("queue.db.bak-v1").exists()
    for words in (["migrate"], ["migrate", "--plan"]):
        assert qmanager.main(words) == 0
        assert capsys.readouterr().out == f"sqlite:{old}: up to date\n"


def test_a_manager_that_may_not_migrate_says_what_is_missing(
    old: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = old.read_bytes()
    assert qmanager.main([*QUIET, "--no-migrate"]) == 1
    said = capsys.readouterr().err
    assert f"qmanager: the store sqlite:{old} misses a migration: {STEPS[1]}\n" in said
    assert f"hint: qmanager migrate --store sqlite:{old} makes what is missing" in said
    assert old.read_bytes() == before


def test_no_store_is_made_by_who_may_not_migrate(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert qmanager.main([*QUIET, "--no-migrate"]) == 1
    assert f"misses {len(STEPS)} migrations: {', '.join(STEPS)}" in capsys.readouterr().err
    assert not (home / "queue.db").exists()
    assert qmanager.main(["migrate", "--plan"]) == 0
    assert not (home / "queue.db").exists()


def test_a_file_that_a_manager_has_is_left_alone(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(SQLiteStore.open(old)) as store:
        store.add([new("a")], 1.0)
        assert qmanager.main(["migrate"]) == 0, "there is nothing to do"
        store._connection.execute("PRAGMA user_version = 1")
        assert qmanager.main(["migrate"]) == 1
        store._connection.execute("PRAGMA user_version = 2")
    assert "has the store" in capsys.readouterr().err


def test_a_database_says_who_may_run_meanwhile(capsys: pytest.CaptureFixture[str]) -> None:
    with want_postgres().database() as url:
        assert qmanager.main([*QUIET, "--store", url, "--no-migrate"]) == 1
        assert "misses" in capsys.readouterr().err
        assert qmanager.main(["migrate", "--plan", "--store", url]) == 0
        said = capsys.readouterr().out
        assert "0001_initial\n0002_oldest: managers that know schema 1 or later may run meanwhile\n" in said
        assert qmanager.main(["migrate", "--store", url]) == 0
        assert qmanager.main(["migrate", "--store", url]) == 0
        assert capsys.readouterr().out.endswith(": up to date\n")


@pytest.mark.parametrize("url", ["memory:", "postgresql:nonsense", "huh"])
def test_what_has_no_tables_is_refused(url: str) -> None:
    assert qmanager.main(["migrate", "--store", url]) == 2
