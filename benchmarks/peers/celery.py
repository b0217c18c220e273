"""Celery over Redis."""

from __future__ import annotations

import time

from celery import Celery  # type: ignore[import-not-found]

from benchmarks.peers.place import redis_url
from benchmarks.peers.tasks import hashed, noop

app = Celery("bench", broker=redis_url(), backend=redis_url())
app.conf.worker_prefetch_multiplier = 64


_TASKS = {"noop": app.task(name="noop")(noop), "bcrypt": app.task(name="bcrypt")(hashed)}


class Producer:
    """delay."""

    def add(self, count: int, task: str) -> None:
        """One by one; its groups do the same."""
        for number in range(count):
            _TASKS[task].delay(number)

    def round_trips(self, count: int) -> list[float]:
        """Its own get, by pub/sub."""
        times = []
        for number in range(count):
            start = time.perf_counter()
            _TASKS["noop"].delay(number).get(timeout=30)
            times.append(time.perf_counter() - start)
        return times
