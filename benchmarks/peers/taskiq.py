"""taskiq over a Redis stream, its broker that acknowledges. Asynchronous: one loop per call from outside."""

from __future__ import annotations

import asyncio
import time

from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker  # type: ignore[import-not-found]

from benchmarks.peers import tasks
from benchmarks.peers.place import redis_url

broker = RedisStreamBroker(redis_url(), socket_timeout=None).with_result_backend(
    RedisAsyncResultBackend(redis_url())
)


async def _noop(value: int) -> int:
    return tasks.noop(value)


async def _bcrypt(value: int) -> str:
    """Computes in the loop: a thread for it takes more than it gives."""
    return tasks.hashed(value)


_TASKS = {
    "noop": broker.task(task_name="noop")(_noop),
    "bcrypt": broker.task(task_name="bcrypt")(_bcrypt),
}


class Producer:
    """kiq."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._loop.run_until_complete(broker.startup())

    def add(self, count: int, task: str) -> None:
        """One by one; it knows no other way."""

        async def work() -> None:
            for number in range(count):
                await _TASKS[task].kiq(number)

        self._loop.run_until_complete(work())

    def round_trips(self, count: int) -> list[float]:
        """Its own wait, which polls: every 5 ms here, every 200 by default."""

        async def work() -> list[float]:
            times = []
            for number in range(count):
                start = time.perf_counter()
                await (await _TASKS["noop"].kiq(number)).wait_result(check_interval=0.005, timeout=30)
                times.append(time.perf_counter() - start)
            return times

        return self._loop.run_until_complete(work())
