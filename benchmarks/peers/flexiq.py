"""flexiq: a Rust core over SQLite, embedded in each process."""

from __future__ import annotations

import time
from pathlib import Path

from flexiq import Queue  # type: ignore[import-not-found]

from benchmarks.peers.place import folder
from benchmarks.stamps import Stamper

_stamp = Stamper()
_CHUNK = 1_000

queue = Queue(
    db_path=str(Path(folder()) / "flexiq.db"),
    workers=2,
    scheduler_batch_size=100,
    scheduler_poll_interval_ms=10,
)


def _noop(value: int) -> int:
    _stamp()
    return value


noop = queue.task(name="noop")(_noop)


class Producer:
    """delay and enqueue_many."""

    def add(self, count: int) -> None:
        """One by one."""
        for number in range(count):
            noop.delay(number)

    def add_many(self, count: int) -> None:
        """A thousand per call."""
        for start in range(0, count, _CHUNK):
            numbers = range(start, min(start + _CHUNK, count))
            queue.enqueue_many("noop", [(number,) for number in numbers])

    def round_trips(self, count: int) -> list[float]:
        """Its own waiting, which polls."""
        times = []
        for number in range(count):
            start = time.perf_counter()
            noop.delay(number).result(timeout=30, poll_interval=0.005)
            times.append(time.perf_counter() - start)
        return times
