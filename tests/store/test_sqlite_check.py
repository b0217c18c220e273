"""The check finds what is wrong, and nothing where nothing is."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from qm.errors import StoreDamaged, StoreError, StoreForeign, StoreTooNew
from qm.messages import Finish, Slot, TypeOptions, WorkerInfo
from qm.store.sqlite import SQLiteStore
from qm.store.sqlite.check import check_file
from qm.testing.contract.samples import new

NOW = 1.0
SLOT = Slot("s", 0, 0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store with tasks in several states, payloads beside their rows and in them."""
    path = tmp_path / "queue.db"
    store = SQLiteStore.open(path)
    store.attach(WorkerInfo(session="s", host="h", pid=1, processes=1, types={"mail": TypeOptions()}), NOW)
    store.add([new(f"t{n}", input_=b"\x01" * (1 + 300 * (n % 2))) for n in range(20)], NOW)
    for n, taken in enumerate(store.take(SLOT, ["mail"], 8, NOW, 60)):
        if n < 6:
            store.finish([Finish(taken.lease, b"\x02" * (1 + 300 * (n % 2)))], NOW, 60)
    store.forget(["t0"], NOW + 60)
    store.close()
    return path


def edit(path: Path, sql: str) -> None:
    db = apsw.Connection(str(path))
    db.execute("PRAGMA ignore_check_constraints = ON")
    db.execute(sql)
    db.close()


def test_a_good_store_has_no_findings(path: Path) -> None:
    assert [*check_file(path)] == []


def test_it_looks_beside_a_manager_at_work(path: Path) -> None:
    store = SQLiteStore.open(path)
    store.add([new("late")], NOW)
    assert [*check_file(path)] == []
    store.add([new("later")], NOW)
    store.close()


@pytest.mark.parametrize(
    ("sql", "finding"),
    [
        ("UPDATE counts SET tasks = tasks + 1 WHERE state = 'waiting'", "the count of a type and state"),
        ("DELETE FROM counts", "the count of a type and state"),
        ("INSERT INTO counts VALUES ('ghost', 'done', 3)", "ghost done (3 kept, 0 there)"),
        ("DELETE FROM sessions", "a task runs in a session that is not known"),
        ("UPDATE tasks SET lease = NULL WHERE state = 'running'", "a task runs without a lease"),
        ("DELETE FROM inputs", "the input of a task is missing"),
        (
            "UPDATE tasks SET input = x'0102' WHERE input IS NOT NULL",
            "the input of a task is missing, or has",
        ),
        ("DELETE FROM outputs", "the result of a task is missing"),
        ("DELETE FROM attempts WHERE output IS NOT NULL", "the result of a task is missing"),
        ("INSERT INTO inputs VALUES (99999, x'00')", "rows belong to a task that is not there: number 99999"),
        (
            "INSERT INTO details VALUES (99999, 1, NULL, NULL, NULL, '')",
            "rows belong to a task that is not there",
        ),
        ("UPDATE numbers SET reserved = 3", "a task has a number that was never given"),
        (
            "INSERT INTO tombstones SELECT id, digest, 1 FROM tasks LIMIT 1",
            "an id is a task's and a forgotten",
        ),
    ],
)
def test_each_promise_that_is_broken_is_found(path: Path, sql: str, finding: str) -> None:
    edit(path, sql)
    assert any(finding in line for line in check_file(path)), [*check_file(path)]


def test_an_index_that_lies_is_found(path: Path) -> None:
    edit(path, "PRAGMA writable_schema = ON")
    db = apsw.Connection(str(path))
    db.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 0)
    db.execute("PRAGMA writable_schema = ON")
    where = "WHERE state = ''waiting''"
    db.execute(
        f"UPDATE sqlite_schema SET sql = replace(sql, '{where}', 'WHERE state = ''done''') "
        "WHERE name = 'waiting'"
    )
    db.close()
    assert [*check_file(path)] != []


def test_findings_without_end_are_cut(path: Path) -> None:
    store = SQLiteStore.open(path)
    store.add([new(f"more{n}") for n in range(60)], NOW)
    store.close()
    edit(path, "UPDATE tasks SET input_size = 7")
    lines = [*check_file(path)]
    assert len(lines) < 60
    assert lines[-1].endswith(("and more", ")"))


def test_what_is_no_store_is_said(path: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no store"):
        [*check_file(tmp_path / "none.db")]
    (tmp_path / "text").write_bytes(b"This is a text. " * 512)
    with pytest.raises(StoreForeign, match="is not an SQLite file"):
        [*check_file(tmp_path / "text")]
    edit(tmp_path / "other.db", "CREATE TABLE x (y)")
    with pytest.raises(StoreForeign, match="belongs to another program"):
        [*check_file(tmp_path / "other.db")]
    edit(path, "PRAGMA user_version = 99")
    with pytest.raises(StoreTooNew, match="has schema 99"):
        [*check_file(path)]


def test_pages_of_zeros_are_found(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096:-4096] = bytes(len(data) - 8192)
    path.write_bytes(data)
    with pytest.raises(StoreDamaged):
        found = [*check_file(path)]
        assert found == [], "found by pages"
        raise AssertionError("nothing was found")
