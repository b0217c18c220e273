"""Redis by hand: the floor of what anything over Redis costs. No leases, no retries: a crash loses tasks."""

from __future__ import annotations

import json
import time
import uuid

import redis  # type: ignore[import-not-found]

from benchmarks.peers.place import address
from benchmarks.stamps import Stamper

_CHUNK = 1_000
_KEEP = 600


def _connect() -> redis.Redis:
    host, port = address()
    return redis.Redis(host, port, socket_timeout=None)


class Producer:
    """LPUSH of JSON."""

    def __init__(self) -> None:
        self._redis = _connect()

    def add(self, count: int) -> None:
        """One LPUSH per task."""
        for number in range(count):
            self._redis.lpush("tasks", _task(number)[1])

    def add_many(self, count: int) -> None:
        """One LPUSH per thousand tasks."""
        for start in range(0, count, _CHUNK):
            numbers = range(start, min(start + _CHUNK, count))
            self._redis.lpush("tasks", *(_task(number)[1] for number in numbers))

    def round_trips(self, count: int) -> list[float]:
        """BRPOP of the result."""
        times = []
        for number in range(count):
            start = time.perf_counter()
            name, task = _task(number)
            self._redis.lpush("tasks", task)
            self._redis.brpop(f"result:{name}")
            times.append(time.perf_counter() - start)
        return times


def _task(number: int) -> tuple[str, str]:
    name = uuid.uuid4().hex
    return name, json.dumps({"id": name, "input": number})


def work() -> None:
    """Takes, runs and answers until it is killed."""
    connection, stamp = _connect(), Stamper()
    while True:
        task = json.loads(connection.brpop("tasks")[1])
        stamp()
        pipe = connection.pipeline(transaction=False)
        pipe.lpush(f"result:{task['id']}", json.dumps(task["input"]))
        pipe.expire(f"result:{task['id']}", _KEEP)
        pipe.execute()
