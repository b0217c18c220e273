"""flexiq: a Rust core over SQLite, embedded in each process."""

from __future__ import annotations

import time
from pathlib import Path

from flexiq import Queue  # type: ignore[import-not-found]

from benchmarks.peers.place import folder
from benchmarks.peers.tasks import hashed, noop

_CHUNK = 1_000

queue = Queue(
    db_path=str(Path(folder()) / "flexiq.db"),
    workers=2,
    scheduler_batch_size=100,
    scheduler_poll_interval_ms=10,
)


_TASKS = {"noop": queue.task(name="noop")(noop), "bcrypt": queue.task(name="bcrypt")(hashed)}


class Producer:
    """delay and enqueue_many."""

    def add(self, count: int, task: str) -> None:
        """One by one."""
        for number in range(count):
            _TASKS[task].delay(number)

    def add_many(self, count: int, task: str) -> None:
        """A thousand per call."""
        for start in range(0, count, _CHUNK):
            numbers = range(start, min(start + _CHUNK, count))
            queue.enqueue_many(task, [(number,) for number in numbers])

    def round_trips(self, count: int) -> list[float]:
        """Its own waiting, which polls."""
        times = []
        for number in range(count):
            start = time.perf_counter()
            _TASKS["noop"].delay(number).result(timeout=30, poll_interval=0.005)
            times.append(time.perf_counter() - start)
        return times
