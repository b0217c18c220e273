"""A backup is whole, private, and beside a store at work; it never replaces a file."""

from __future__ import annotations

import fcntl
import os
import stat
import threading
from pathlib import Path

import pytest

from qm.errors import BadRequest, StoreDamaged, StoreError
from qm.store.sqlite import SQLiteStore
from qm.store.sqlite.backup import back_up
from qm.store.sqlite.check import check_file
from qm.testing.contract.samples import new

NOW = 1.0


def quiet(done: int, pages: int) -> None:
    """Nobody wants to know."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "queue.db"


def ids(path: Path, wanted: list[str]) -> list[str]:
    store = SQLiteStore.open(path)
    found = [task.id for task in store.get(wanted) if task is not None]
    store.close()
    return found


def test_a_backup_under_load_has_all_that_was_acknowledged_before(path: Path, tmp_path: Path) -> None:
    store = SQLiteStore.open(path, durability="relaxed")
    acked: list[str] = []
    stop = threading.Event()

    def load() -> None:
        while not stop.is_set():
            name = f"t{len(acked)}"
            store.add([new(name, input_=b"\x01" * 2000)], NOW)
            acked.append(name)

    store.add([new(f"old{n}", input_=b"\x01" * 5000) for n in range(2000)], NOW)
    loader = threading.Thread(target=load)
    loader.start()
    kept = []
    for n in range(5):
        before = list(acked)
        back_up(path, tmp_path / f"b{n}.db", quiet)
        kept.append((tmp_path / f"b{n}.db", before))
    stop.set()
    loader.join()
    store.close()
    assert len(acked) > 5
    for copy, before in kept:
        assert [*check_file(copy)] == []
        assert ids(copy, before) == before
        assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert not list(tmp_path.glob("*.part"))


def test_it_tells_how_far_it_is(path: Path, tmp_path: Path) -> None:
    store = SQLiteStore.open(path)
    store.add([new(f"t{n}", input_=b"\x01" * 100_000) for n in range(100)], NOW)
    store.close()
    told: list[tuple[int, int]] = []
    back_up(path, tmp_path / "b.db", lambda done, pages: told.append((done, pages)))
    assert len(told) > 2
    assert told[-1][0] == told[-1][1]
    assert told == sorted(told)


def test_a_store_whose_manager_was_killed_is_copied_with_its_log(path: Path, tmp_path: Path) -> None:
    pid = os.fork()
    if pid == 0:
        store = SQLiteStore.open(path)
        store.add([new("a")], NOW)
        os._exit(9)
    os.waitpid(pid, 0)
    back_up(path, tmp_path / "b.db", quiet)
    assert ids(tmp_path / "b.db", ["a"]) == ["a"]
    assert ids(path, ["a"]) == ["a"]


def test_a_file_that_is_there_is_left_alone(path: Path, tmp_path: Path) -> None:
    SQLiteStore.open(path).close()
    target = tmp_path / "b.db"
    target.write_text("mine")
    with pytest.raises(BadRequest, match="exists already"):
        back_up(path, target, quiet)
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "nowhere")
    with pytest.raises(BadRequest, match="exists already"):
        back_up(path, link, quiet)
    assert target.read_text() == "mine"


def test_what_a_killed_backup_left_is_written_over(path: Path, tmp_path: Path) -> None:
    SQLiteStore.open(path).close()
    (tmp_path / "b.db.part").write_bytes(b"half" * 100_000)
    back_up(path, tmp_path / "b.db", quiet)
    assert [*check_file(tmp_path / "b.db")] == []


def test_two_backups_do_not_write_one_file(path: Path, tmp_path: Path) -> None:
    SQLiteStore.open(path).close()
    with (tmp_path / "b.db.part").open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(BadRequest, match="another backup writes"):
            back_up(path, tmp_path / "b.db", quiet)
    assert not (tmp_path / "b.db").exists()


def test_a_damaged_store_gives_no_backup(path: Path, tmp_path: Path) -> None:
    store = SQLiteStore.open(path)
    store.add([new(f"t{n}", input_=b"\x01" * 5000) for n in range(100)], NOW)
    store.close()
    data = bytearray(path.read_bytes())
    data[8192 : len(data) // 2] = bytes(len(data) // 2 - 8192)
    path.write_bytes(data)
    with pytest.raises(StoreDamaged):
        back_up(path, tmp_path / "b.db", quiet)
    assert sorted(p.name for p in tmp_path.glob("b.db*")) == []


def test_a_folder_that_is_not_there_is_said(path: Path, tmp_path: Path) -> None:
    SQLiteStore.open(path).close()
    with pytest.raises(StoreError, match="cannot write the backup"):
        back_up(path, tmp_path / "none" / "b.db", quiet)
