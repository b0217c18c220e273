"""rq over Redis."""

from __future__ import annotations

import time

from redis import Redis  # type: ignore[import-not-found]
from rq import Queue  # type: ignore[import-not-found]

from benchmarks.peers.place import redis_url
from benchmarks.peers.tasks import hashed, noop

_CHUNK = 1_000
_TASKS = {"noop": noop, "bcrypt": hashed}


class Producer:
    """enqueue and enqueue_many."""

    def __init__(self) -> None:
        self._queue = Queue(connection=Redis.from_url(redis_url(), socket_timeout=None))

    def add(self, count: int, task: str) -> None:
        """One by one."""
        for number in range(count):
            self._queue.enqueue(_TASKS[task], number)

    def add_many(self, count: int, task: str) -> None:
        """A thousand per call."""
        for start in range(0, count, _CHUNK):
            numbers = range(start, min(start + _CHUNK, count))
            self._queue.enqueue_many([Queue.prepare_data(_TASKS[task], args=(number,)) for number in numbers])

    def round_trips(self, count: int) -> list[float]:
        """Its own blocking wait for the latest result."""
        times = []
        for number in range(count):
            start = time.perf_counter()
            self._queue.enqueue(noop, number).latest_result(timeout=30)
            times.append(time.perf_counter() - start)
        return times
