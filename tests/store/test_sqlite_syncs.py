"""How often the disk is asked to make things safe: the cost of durability, counted instead of timed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from qm.messages import Claim, Finish, NewTask, Slot, TypeOptions, WorkerInfo
from qm.queue import Queue
from qm.store.sqlite import SQLiteStore
from qm.store.sqlite.store import Durability

SLOT = Slot("session", 0, 0)
TASKS = 50


class Counter(apsw.VFS):
    """The default VFS, counting syncs."""

    def __init__(self) -> None:
        self.syncs = 0
        super().__init__("counting", "unix", makedefault=True)

    def xOpen(self, name: Any, flags: Any) -> Any:
        return CountedFile(self, name, flags)


class CountedFile(apsw.VFSFile):
    """A file that tells its VFS of every sync."""

    def __init__(self, counter: Counter, name: Any, flags: Any) -> None:
        self._counter = counter
        super().__init__("unix", name, flags)

    def xSync(self, flags: int) -> None:
        self._counter.syncs += 1
        super().xSync(flags)


@pytest.fixture
def counter() -> Iterator[Counter]:
    counter = Counter()
    yield counter
    counter.unregister()


def syncs_of_a_drain(counter: Counter, path: Path, durability: Durability) -> int:
    """Syncs for TASKS tasks, one exchange each."""
    store = SQLiteStore.open(path, durability=durability)
    queue = Queue(store)
    queue.attach(WorkerInfo(session="session", host="h", pid=1, processes=1, types={"x": TypeOptions()}))
    queue.add([NewTask(id=f"t{n}", type="x", input=b"\x01", digest=b"d" * 16) for n in range(TASKS)])
    before = counter.syncs
    settled: list[Finish] = []
    for call in range(TASKS + 1):
        answer = queue.exchange(Claim(slot=SLOT, call=call, holding=[], types=["x"]), settled)
        settled = [Finish(task.lease, b"\x02") for task in answer.tasks]
    syncs = counter.syncs - before
    assert queue.done.count() == TASKS
    store.close()
    return syncs


def test_a_drained_task_costs_at_most_two_syncs_at_full_durability(counter: Counter, tmp_path: Path) -> None:
    syncs = syncs_of_a_drain(counter, tmp_path / "queue.db", "full")
    assert TASKS <= syncs <= 2 * TASKS


def test_relaxed_durability_does_not_sync_commits(counter: Counter, tmp_path: Path) -> None:
    assert syncs_of_a_drain(counter, tmp_path / "queue.db", "relaxed") < TASKS / 10
