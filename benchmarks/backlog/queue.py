"""A queue with a backlog, in process, over SQLite."""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from benchmarks.timing import seconds
from qm import new_task
from qm.ids import new_id
from qm.messages import Claim, Finish, Slot, TypeOptions, WorkerInfo
from qm.payload import pack
from qm.queue import Queue
from qm.store.sqlite.store import SQLiteStore

_CHUNK: Final = 1_000
#: Rounds until the worker says again that it is there: filling takes longer than a session lives.
_ATTACHED: Final = 100
_TYPES: Final = ("mail", "report", "thumbnail")
_PRIORITIES: Final = (0, 0, 0, 1, -1)


class Backlog:
    """Many tasks of three types and three priorities, and a worker of them."""

    def __init__(self, queue: Queue, store: SQLiteStore, folder: Path) -> None:
        self._queue = queue
        self._store = store
        self._folder = folder
        self._numbers = itertools.count()
        self._calls = itertools.count(1)
        self._info = WorkerInfo(
            session=new_id(), host="bench", pid=1, processes=1, types={t: TypeOptions() for t in _TYPES}
        )
        self._slot = Slot(self._info.session, 0, 0)

    def waiting(self) -> int:
        """How many tasks wait."""
        return self._store.waiting(_TYPES)

    def grow(self, size: int) -> None:
        """Adds until `size` tasks wait."""
        missing = size - self.waiting()
        for start in range(0, missing, _CHUNK):
            count = min(_CHUNK, missing - start)
            self._store.add([self._task() for _ in range(count)], time.time())

    def disk(self) -> int:
        """Bytes of all its files."""
        return sum(path.stat().st_size for path in self._folder.iterdir() if path.suffix != ".reserve")

    def measure(self, times: int) -> dict[str, list[float]]:
        """Seconds of each call, the kinds in turn; the backlog stays as long as it is."""
        found: dict[str, list[float]] = {"add": [], "take": [], "status": []}
        for round in range(times):
            if round % _ATTACHED == 0:
                self._queue.attach(self._info)
            tasks = [self._task()]
            found["add"].append(seconds(lambda tasks=tasks: self._queue.add(tasks)))  # type: ignore[misc]
            found["take"].append(self._take())
            found["status"].append(seconds(self._queue.status))
        return found

    def _take(self) -> float:
        claim = Claim(slot=self._slot, call=next(self._calls), holding=[], types=list(_TYPES))
        start = time.perf_counter()
        (taken,) = self._queue.take(claim)
        took = time.perf_counter() - start
        self._queue.finish([Finish(taken.lease, pack(None))])
        return took

    def _task(self) -> Any:
        number = next(self._numbers)
        priority = _PRIORITIES[number % len(_PRIORITIES)]
        return new_task(_TYPES[number % len(_TYPES)], number, priority=priority)


@contextmanager
def backlog() -> Iterator[Backlog]:
    """An empty one, in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="qmanager-bench.") as folder:
        store = SQLiteStore.open(Path(folder) / "queue.db", durability="relaxed")
        queue = Queue(store)
        queue.start()
        try:
            yield Backlog(queue, store, Path(folder))
        finally:
            queue.drain()
            store.close()
