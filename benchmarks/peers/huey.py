"""huey, over Redis or SQLite."""

from __future__ import annotations

import os
import time
from pathlib import Path

from huey import RedisHuey, SqliteHuey  # type: ignore[import-not-found]

from benchmarks.peers.place import address, folder
from benchmarks.peers.tasks import hashed, noop


def _app() -> RedisHuey | SqliteHuey:
    if os.environ["QM_BENCH_HUEY"] == "sqlite":
        return SqliteHuey("bench", filename=str(Path(folder()) / "huey.db"))
    host, port = address()
    return RedisHuey("bench", host=host, port=port, notify_result=True)


app = _app()


_TASKS = {"noop": app.task()(noop), "bcrypt": app.task()(hashed)}


class Producer:
    """A call of the task adds it."""

    def add(self, count: int, task: str) -> None:
        """One by one; it knows no other way."""
        for number in range(count):
            _TASKS[task](number)

    def round_trips(self, count: int) -> list[float]:
        """Its own blocking get of the result."""
        times = []
        for number in range(count):
            start = time.perf_counter()
            _TASKS["noop"](number).get(blocking=True, timeout=30)
            times.append(time.perf_counter() - start)
        return times
