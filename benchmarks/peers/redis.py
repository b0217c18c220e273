"""Redis by hand: the floor of what anything over Redis costs. No leases, no retries: a crash loses tasks."""

from __future__ import annotations

import json
import time
import uuid

import redis  # type: ignore[import-not-found]

from benchmarks.peers.place import address
from benchmarks.peers.tasks import hashed, noop

_CHUNK = 1_000
_KEEP = 600
_BODIES = {"noop": noop, "bcrypt": hashed}


def _connect() -> redis.Redis:
    host, port = address()
    return redis.Redis(host, port, socket_timeout=None)


class Producer:
    """LPUSH of JSON."""

    def __init__(self) -> None:
        self._redis = _connect()

    def add(self, count: int, task: str) -> None:
        """One LPUSH per task."""
        for number in range(count):
            self._redis.lpush("tasks", _message(number, task)[1])

    def add_many(self, count: int, task: str) -> None:
        """One LPUSH per thousand tasks."""
        for start in range(0, count, _CHUNK):
            numbers = range(start, min(start + _CHUNK, count))
            self._redis.lpush("tasks", *(_message(number, task)[1] for number in numbers))

    def round_trips(self, count: int) -> list[float]:
        """BRPOP of the result."""
        times = []
        for number in range(count):
            start = time.perf_counter()
            name, message = _message(number, "noop")
            self._redis.lpush("tasks", message)
            self._redis.brpop(f"result:{name}")
            times.append(time.perf_counter() - start)
        return times


def _message(number: int, task: str) -> tuple[str, str]:
    name = uuid.uuid4().hex
    return name, json.dumps({"id": name, "task": task, "input": number})


def work() -> None:
    """Takes, runs and answers until it is killed."""
    connection = _connect()
    while True:
        task = json.loads(connection.brpop("tasks")[1])
        output = _BODIES[task["task"]](task["input"])
        pipe = connection.pipeline(transaction=False)
        pipe.lpush(f"result:{task['id']}", json.dumps(output))
        pipe.expire(f"result:{task['id']}", _KEEP)
        pipe.execute()
