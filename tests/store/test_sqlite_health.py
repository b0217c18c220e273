"""What becomes of the store, and of those who call it, when its disk fails or is full."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from qm.errors import DiskFull, Draining, NotCommitted, StoreDamaged, StoreError
from qm.messages import AddStatus, Finish, Slot, Verdict
from qm.store.sqlite import SQLiteStore
from qm.store.sqlite.reserve import SIZE, Reserve
from qm.task import State
from qm.testing.contract.samples import new
from tests.store.faults import BadDisk, io_error

NOW = 1.0


@pytest.fixture
def disk() -> Iterator[BadDisk]:
    disk = BadDisk()
    yield disk
    disk.unregister()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "queue.db"


@pytest.fixture
def store(disk: BadDisk, path: Path) -> Iterator[SQLiteStore]:
    store = SQLiteStore.open(path)
    yield store
    disk.fail_syncs, disk.fail_writes = False, None
    store.close()


@pytest.fixture
def no_space(monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk stays full, whatever the real one has."""
    monkeypatch.setattr(Reserve, "_is_space_again", lambda self: False)


@pytest.mark.parametrize("fault", ["sync", "write"])
def test_after_a_failure_of_the_disk_nothing_is_acknowledged_any_more(
    store: SQLiteStore, disk: BadDisk, path: Path, fault: str
) -> None:
    heard: list[StoreError] = []
    store.health.listen(heard.append)
    store.add([new("before")], NOW)
    disk.fail_syncs, disk.fail_writes = fault == "sync", apsw.IOError if fault == "write" else None
    with pytest.raises(NotCommitted, match="the store failed"):
        store.add([new("unknown")], NOW)
    disk.fail_syncs, disk.fail_writes = False, None  # the next would go well: the kernel says so
    for _ in range(3):
        with pytest.raises(Draining, match="the manager is stopping"):
            store.add([new("after")], NOW)
        with pytest.raises(Draining):
            list(store.get(["before"]))
    assert [type(why) for why in heard] == [StoreError]
    store.close()
    again = SQLiteStore.open(path)
    found = [task.id if task else None for task in again.get(["before", "after"])]
    assert found == ["before", None]
    again.close()


def test_the_log_of_a_broken_store_stays_for_the_next_manager(
    store: SQLiteStore, disk: BadDisk, path: Path
) -> None:
    store.add([new("before")], NOW)
    disk.fail_syncs = True
    with pytest.raises(NotCommitted):
        store.add([new("unknown")], NOW)
    disk.fail_syncs = False
    store.close()
    assert path.with_name("queue.db-wal").stat().st_size > 0


def test_one_who_listens_late_hears_it_too(store: SQLiteStore, disk: BadDisk) -> None:
    disk.fail_syncs = True
    with pytest.raises(NotCommitted):
        store.add([new("a")], NOW)
    heard: list[StoreError] = []
    store.health.listen(heard.append)
    assert len(heard) == 1


def test_damage_that_is_met_at_work_ends_the_store(store: SQLiteStore) -> None:
    heard: list[StoreError] = []
    store.health.listen(heard.append)
    told = store.health.judge(apsw.CorruptError("database disk image is malformed"))
    assert isinstance(told, NotCommitted)
    assert isinstance(heard[0], StoreDamaged)
    assert "qmanager check" in str(heard[0].hint)


def test_a_read_that_fails_fails_alone(store: SQLiteStore) -> None:
    assert type(store.health.judge(io_error(apsw.SQLITE_IOERR_READ))) is StoreError
    assert store.health.broken is None


def test_a_quota_that_is_used_up_is_a_full_disk(store: SQLiteStore) -> None:
    told = store.health.judge(io_error(apsw.SQLITE_IOERR_WRITE), errno.EDQUOT)
    assert (type(told), str(told)) == (NotCommitted, "the disk of the store is full")
    assert store.health.broken is None


def test_an_undoing_that_fails_ends_the_store_and_hides_nothing(store: SQLiteStore) -> None:
    heard: list[StoreError] = []
    store.health.listen(heard.append)
    with pytest.raises(ZeroDivisionError), store.begin():
        store._connection.db.exec_trace = lambda *_: False  # no statement is run any more
        raise ZeroDivisionError
    assert "could not be undone" in str(heard[0])
    with pytest.raises(Draining):
        store.add([new("a")], NOW)


def test_a_bug_of_ours_stays_what_it_is(store: SQLiteStore) -> None:
    error = apsw.SQLError("no such table")
    assert store.health.judge(error) is error


@pytest.mark.usefixtures("no_space")
def test_on_a_full_disk_adds_are_refused_and_results_taken(
    store: SQLiteStore, disk: BadDisk, caplog: pytest.LogCaptureFixture
) -> None:
    slot = Slot("s", 0, 0)
    store.add([new("a")], NOW)
    disk.fail_writes = apsw.FullError
    with pytest.raises(NotCommitted):
        store.add([new("b")], NOW)
    disk.fail_writes = None  # the reserve was given up
    assert not store.health.reserve.path.exists()
    for _ in range(3):
        with pytest.raises(DiskFull) as refused:
            store.add([new("b")], NOW)
    assert (refused.value.code, bool(refused.value.hint)) == ("disk_full", True)
    (taken,) = store.take(slot, ["mail"], 1, NOW, 60)
    assert store.finish([Finish(taken.lease, b"\x01")], NOW, 60) == [Verdict.ACCEPTED]
    assert store.counts() == {"mail": {State.DONE: 1}}
    assert [r.message for r in caplog.records if "is full" in r.message] == [
        f"the disk of {store.path.parent} is full: tasks are refused, results are still taken"
    ]


def test_with_space_again_tasks_are_taken(
    store: SQLiteStore, disk: BadDisk, caplog: pytest.LogCaptureFixture
) -> None:
    disk.fail_writes = apsw.FullError
    with pytest.raises(NotCommitted):
        store.add([new("a")], NOW)
    disk.fail_writes = None
    store.add([new("a")], NOW)
    assert store.health.reserve.path.stat().st_size == SIZE
    assert "there is space again" in caplog.text


@pytest.mark.usefixtures("no_space")
def test_a_part_behind_a_full_disk_does_not_commit_by_itself(store: SQLiteStore, disk: BadDisk) -> None:
    """A full disk undoes the whole transaction; a savepoint after it would begin one of its own."""
    with pytest.raises(NotCommitted), store.begin() as tx:
        tx.add([new("leader")], NOW)
        store._connection.execute("ROLLBACK")  # as SQLite does by itself
        with pytest.raises(NotCommitted), tx.savepoint():
            tx.add([new("rider")], NOW)
    assert [*store.get(["leader", "rider"])] == [None, None]
    assert store.counts() == {}


def test_where_there_is_no_space_at_the_start_adds_are_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    store = SQLiteStore.open(path)
    with pytest.raises(DiskFull):
        store.add([new("a")], NOW)
    monkeypatch.undo()
    store.add([new("a")], NOW)
    store.close()
    assert not path.with_name("queue.db.reserve").exists()


@pytest.mark.usefixtures("no_space")
def test_on_a_full_disk_a_resend_of_what_is_stored_is_answered(store: SQLiteStore) -> None:
    store.add([new("a")], NOW)
    store.health.reserve.spend()
    assert store.add([new("a")], NOW) == [AddStatus.DUPLICATE]
    with pytest.raises(DiskFull):
        store.add([new("a"), new("b")], NOW)


def test_a_killed_manager_on_a_full_disk_is_started_by_what_it_had_set_aside(
    path: Path, disk: BadDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk.kind = apsw.SQLITE_OPEN_MAIN_DB
    disk.fail_writes = apsw.FullError
    with pytest.raises(DiskFull):
        SQLiteStore.open(path)
    reserve = Reserve(path)
    reserve.make()
    remove = Reserve.remove

    def give(self: Reserve) -> bool:
        disk.fail_writes = None
        return remove(self)

    monkeypatch.setattr(Reserve, "remove", give)
    store = SQLiteStore.open(path)
    assert store.health.reserve.spent
    assert not reserve.path.exists()
    store.close()


def test_a_move_of_the_log_without_space_kills_nothing(store: SQLiteStore, disk: BadDisk) -> None:
    store._checkpointer._judge(apsw.FullError("no space"))
    store._checkpointer._judge(apsw.IOError("a write failed"))
    assert store.health.broken is None
    store._checkpointer._judge(io_error(apsw.SQLITE_IOERR_FSYNC))
    assert store.health.broken is not None
