"""Files of a store that are missing, empty, another's or no files at all."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from qm.errors import StoreBusy, StoreDamaged, StoreError, StoreForeign, StoreTooNew
from qm.store.sqlite import SQLiteStore
from qm.testing.contract.samples import new

NOW = 1.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "queue.db"


def beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def killed(path: Path, folder: Path) -> Path:
    """A store as a killed manager leaves it: the task `a` only in the log."""
    store = SQLiteStore.open(path)
    store.add([new("a")], NOW)
    for suffix in ("", "-wal", ".lock"):
        shutil.copy(beside(path, suffix), beside(folder / "left.db", suffix))
    store.close()
    left = folder / "left.db"
    lock = beside(left, ".lock")
    lock.write_text(f"1 {left.stat().st_ino}")
    return left


def test_what_a_killed_manager_left_is_read(path: Path, tmp_path: Path) -> None:
    store = SQLiteStore.open(killed(path, tmp_path))
    (task,) = store.get(["a"])
    assert task is not None
    store.close()


def test_what_a_killed_manager_left_in_the_log_is_moved_into_the_file(path: Path, tmp_path: Path) -> None:
    """A sync of that log may have failed, and no later one would say so."""
    left = killed(path, tmp_path)
    assert beside(left, "-wal").stat().st_size > 0
    store = SQLiteStore.open(left)
    assert beside(left, "-wal").stat().st_size == 0
    store.close()


def test_that_it_is_closed_is_on_the_disk_before_the_log_is_gone(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut in between would make a missing log of one that was not needed any more."""
    synced: list[tuple[str, bool]] = []
    really = os.fsync

    def fsync(fd: int) -> None:
        really(fd)
        synced.append((beside(path, ".lock").read_text().split()[-1], beside(path, "-wal").exists()))

    store = SQLiteStore.open(path)
    monkeypatch.setattr(os, "fsync", fsync)
    store.close()
    assert ("closed", True) in synced
    assert not beside(path, "-wal").exists()


def test_that_it_is_open_is_said_when_the_log_is_on_the_disk(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    really = os.fsync

    def fsync(fd: int) -> None:
        assert beside(path, "-wal").exists()
        said.append(beside(path, ".lock").read_text())
        really(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    store = SQLiteStore.open(path)
    assert said == [str(os.getpid())]
    store.close()


def test_a_log_that_is_missing_is_not_taken_for_an_empty_one(path: Path, tmp_path: Path) -> None:
    left = killed(path, tmp_path)
    beside(left, "-wal").unlink()
    for _ in range(2):
        with pytest.raises(StoreDamaged, match=r"the log [^ ]+ is missing"):
            SQLiteStore.open(left)
    beside(left, ".lock").unlink()  # the way on that the hint names
    store = SQLiteStore.open(left)
    assert [*store.get(["a"])] == [None]
    store.close()


def test_a_log_beside_a_file_that_is_gone_or_empty_is_told(path: Path, tmp_path: Path) -> None:
    left = killed(path, tmp_path)
    left.unlink()
    with pytest.raises(StoreDamaged, match="is gone, its log"):
        SQLiteStore.open(left)
    left.touch()
    with pytest.raises(StoreDamaged, match="is empty, and once was not"):
        SQLiteStore.open(left)
    assert beside(left, "-wal").stat().st_size > 0


def test_a_closed_store_that_was_emptied_is_told(path: Path) -> None:
    SQLiteStore.open(path).close()
    os.truncate(path, 0)
    with pytest.raises(StoreDamaged, match="is empty, and once was not"):
        SQLiteStore.open(path)


def test_the_log_of_another_file_is_not_applied(path: Path, tmp_path: Path) -> None:
    left = killed(path, tmp_path)
    copy = tmp_path / "copy"
    shutil.copy(left, copy)
    copy.rename(left)  # as a restore that forgot the log
    with pytest.raises(StoreDamaged, match="belongs to another file"):
        SQLiteStore.open(left)


def test_a_store_that_was_removed_when_it_was_closed_begins_anew(path: Path) -> None:
    SQLiteStore.open(path).close()
    path.unlink()
    store = SQLiteStore.open(path)
    assert store.counts() == {}
    store.close()


def test_the_first_start_may_be_cut(path: Path) -> None:
    """Killed between making the file and its first page."""
    path.touch()
    beside(path, ".lock").write_text("1")
    SQLiteStore.open(path).close()


def test_the_one_who_has_it_is_named(path: Path) -> None:
    store = SQLiteStore.open(path)
    with pytest.raises(StoreBusy, match=rf"another qmanager \(pid {os.getpid()}\)"):
        SQLiteStore.open(path)
    store.close()


def test_a_folder_is_no_store(path: Path) -> None:
    path.mkdir()
    with pytest.raises(StoreError, match="is a folder"):
        SQLiteStore.open(path)


def test_a_file_of_another_program_is_not_ours(path: Path) -> None:
    path.write_bytes(b"This is a text. " * 512)
    with pytest.raises(StoreForeign, match="is not an SQLite file"):
        SQLiteStore.open(path)
    assert path.read_bytes() == b"This is a text. " * 512


def test_a_newer_schema_is_refused(path: Path) -> None:
    store = SQLiteStore.open(path)
    store._connection.execute("PRAGMA user_version = 99")
    store.close()
    with pytest.raises(StoreTooNew, match="has schema 99"):
        SQLiteStore.open(path)


def test_tables_that_are_not_ours_are_told(path: Path) -> None:
    store = SQLiteStore.open(path)
    store._connection.execute("ALTER TABLE attempts RENAME COLUMN cause TO causf")  # one flipped bit
    store._connection.execute("CREATE TABLE own (x)")
    store.close()
    with pytest.raises(StoreDamaged, match="its tables are not ours: attempts"):
        SQLiteStore.open(path)


def test_a_file_that_others_can_read_is_warned_about(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    SQLiteStore.open(path).close()
    path.chmod(0o644)
    SQLiteStore.open(path).close()
    assert f"{path} is open to other users; chmod 600 {path}" in caplog.text


@pytest.mark.parametrize("cut", [1, 100, 4096, 3 * 4096, 40_000])
def test_a_cut_file_is_refused(path: Path, cut: int) -> None:
    SQLiteStore.open(path).close()
    os.truncate(path, cut)
    with pytest.raises(StoreForeign):
        SQLiteStore.open(path)
