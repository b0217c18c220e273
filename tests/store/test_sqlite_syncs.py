"""How often the disk is asked to make things safe: the cost of durability, counted instead of timed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from qm.messages import Claim, Finish, NewTask, Slot, TypeOptions, WorkerInfo
from qm.queue import Queue
from qm.store.sqlite import SQLiteStore
from qm.store.sqlite.store import Durability
from tests.guard.disk import Disk

SLOT = Slot("session", 0, 0)
TASKS = 50


@pytest.fixture
def disk() -> Iterator[Disk]:
    disk = Disk()
    yield disk
    disk.unregister()


def syncs_of_a_drain(disk: Disk, path: Path, durability: Durability) -> int:
    """Syncs for TASKS tasks, one exchange each."""
    store = SQLiteStore.open(path, durability=durability)
    queue = Queue(store)
    queue.attach(WorkerInfo(session="session", host="h", pid=1, processes=1, types={"x": TypeOptions()}))
    queue.add([NewTask(id=f"t{n}", type="x", input=b"\x01", digest=b"d" * 16) for n in range(TASKS)])
    before = disk.syncs
    settled: list[Finish] = []
    for call in range(TASKS + 1):
        answer = queue.exchange(Claim(slot=SLOT, call=call, holding=[], types=["x"]), settled)
        settled = [Finish(task.lease, b"\x02") for task in answer.tasks]
    syncs = disk.syncs - before
    assert queue.done.count() == TASKS
    store.close()
    return syncs


def test_a_drained_task_costs_at_most_two_syncs_at_full_durability(disk: Disk, tmp_path: Path) -> None:
    syncs = syncs_of_a_drain(disk, tmp_path / "queue.db", "full")
    assert TASKS <= syncs <= 2 * TASKS


def test_relaxed_durability_does_not_sync_commits(disk: Disk, tmp_path: Path) -> None:
    assert syncs_of_a_drain(disk, tmp_path / "queue.db", "relaxed") < TASKS / 10
