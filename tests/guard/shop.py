"""A queue on SQLite with one worker, and a meter on its store."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from qm.messages import Claim, Finish, NewTask, Settlement, Slot, Taken, TypeOptions, WorkerInfo
from qm.queue import Queue
from qm.store.sqlite import SQLiteStore
from qm.store.sqlite.store import Durability
from tests.guard.disk import Disk
from tests.guard.meter import Bill, Meter

TYPE = "work"
SLOT = Slot("pool", 0, 0)


class Shop:
    """Short words for what a producer and a worker say."""

    def __init__(self, store: SQLiteStore, meter: Meter) -> None:
        self.store = store
        self.queue = queue = Queue(store)
        self.meter = meter
        self._numbers = itertools.count()
        self._calls = itertools.count()
        self.attach()
        # what only the first ones cost is paid: prepared statements, numbers, the first reader
        queue.get(self.add(1))
        self.exchange(0, self.finished(self.exchange(1)))

    def attach(self) -> None:
        """The worker's pool says that it is there."""
        types = {TYPE: TypeOptions()}
        self.queue.attach(WorkerInfo(session=SLOT.session, host="alpha", pid=4711, processes=1, types=types))

    def add(self, tasks: int) -> list[str]:
        """Adds tasks in one call, and gives their ids."""
        ids = [f"t{next(self._numbers)}" for _ in range(tasks)]
        self.queue.add([NewTask(id=id_, type=TYPE, input=b"\x01", digest=b"d" * 16) for id_ in ids])
        return ids

    def exchange(self, limit: int, settled: Sequence[Settlement] = ()) -> list[Taken]:
        """Settles, and takes so many."""
        claim = Claim(slot=SLOT, call=next(self._calls), holding=[], types=[TYPE], limit=limit)
        return self.queue.exchange(claim, settled).tasks

    def drain(self, batch: int) -> None:
        """Takes and finishes all tasks, in exchanges of so many."""
        taken = self.exchange(batch)
        while taken:
            taken = self.exchange(batch, self.finished(taken))

    @staticmethod
    def finished(taken: Sequence[Taken]) -> list[Settlement]:
        """The results of tasks."""
        return [Finish(task.lease, b"\x02") for task in taken]

    def bill(self, work: Callable[[], object]) -> Bill:
        """What some work costs the store."""
        return self.meter.bill(work)


@contextmanager
def open_shop(path: Path, durability: Durability = "full", disk: Disk | None = None) -> Iterator[Shop]:
    """A shop over a store of its own."""
    meter = Meter(path, disk)
    with meter.on():
        store = SQLiteStore.open(path, durability=durability)
        try:
            yield Shop(store, meter)
        finally:
            store.close()
