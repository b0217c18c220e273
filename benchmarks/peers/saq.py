"""saq over Redis. It is asynchronous: each method runs a loop of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import saq  # type: ignore[import-not-found]

from benchmarks.peers import tasks
from benchmarks.peers.place import redis_url


async def noop(context: Any, *, value: int) -> int:
    """Gives its input back."""
    return tasks.noop(value)


async def bcrypt(context: Any, *, value: int) -> str:
    """Computes in the loop: a thread for it takes more than it gives."""
    return tasks.hashed(value)


queue = saq.Queue.from_url(redis_url())
settings = {"queue": queue, "functions": [noop, bcrypt], "concurrency": 10}


class Producer:
    """enqueue."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._queue = saq.Queue.from_url(redis_url())

    def add(self, count: int, task: str) -> None:
        """One by one; its map does the same."""

        async def work() -> None:
            for number in range(count):
                await self._queue.enqueue(task, value=number)

        self._loop.run_until_complete(work())

    def round_trips(self, count: int) -> list[float]:
        """Waits by pub/sub; its apply polls every half second."""

        async def work() -> list[float]:
            times = []
            for number in range(count):
                start = time.perf_counter()
                job = await self._queue.enqueue("noop", value=number)
                while not job.completed:
                    await _refresh(job.refresh)
                times.append(time.perf_counter() - start)
            return times

        return self._loop.run_until_complete(work())


async def _refresh(refresh: Callable[..., Coroutine[Any, Any, None]]) -> None:
    """Waits for the message that the job ended; where it was missed, the next look finds the job ended."""
    try:
        await refresh(until_complete=0.5)
    except TimeoutError:
        await refresh()
