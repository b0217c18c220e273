"""procrastinate over PostgreSQL. Asynchronous: one loop per call from outside."""

from __future__ import annotations

import asyncio
import time

from procrastinate import App, PsycopgConnector  # type: ignore[import-not-found]

from benchmarks.peers import tasks
from benchmarks.peers.place import address

_CHUNK = 1_000
_ENDED = "succeeded"

_host, _port = address()
app = App(connector=PsycopgConnector(conninfo=f"host={_host} port={_port} user=postgres dbname=postgres"))


async def _noop(value: int) -> None:
    tasks.noop(value)


async def _bcrypt(value: int) -> None:
    """Computes in the loop: a thread for it takes more than it gives."""
    tasks.hashed(value)


_TASKS = {"noop": app.task(name="noop")(_noop), "bcrypt": app.task(name="bcrypt")(_bcrypt)}


class Producer:
    """defer and batch_defer."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._loop.run_until_complete(app.open_async())

    def add(self, count: int, task: str) -> None:
        """One by one."""

        async def work() -> None:
            for number in range(count):
                await _TASKS[task].defer_async(value=number)

        self._loop.run_until_complete(work())

    def add_many(self, count: int, task: str) -> None:
        """A thousand per call."""

        async def work() -> None:
            for start in range(0, count, _CHUNK):
                numbers = range(start, min(start + _CHUNK, count))
                await _TASKS[task].batch_defer_async(*({"value": number} for number in numbers))

        self._loop.run_until_complete(work())

    def round_trips(self, count: int) -> list[float]:
        """It stores no results and offers no wait: a look at the job's status every 5 ms."""

        async def work() -> list[float]:
            times = []
            for number in range(count):
                start = time.perf_counter()
                job = await _TASKS["noop"].defer_async(value=number)
                while (await app.job_manager.get_job_status_async(job)).value != _ENDED:
                    await asyncio.sleep(0.005)
                times.append(time.perf_counter() - start)
            return times

        return self._loop.run_until_complete(work())
