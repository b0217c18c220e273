"""procrastinate over PostgreSQL. Asynchronous: one loop per call from outside."""

from __future__ import annotations

import asyncio
import time

from procrastinate import App, PsycopgConnector  # type: ignore[import-not-found]

from benchmarks.peers.place import address
from benchmarks.stamps import Stamper

_stamp = Stamper()
_CHUNK = 1_000
_ENDED = "succeeded"

_host, _port = address()
app = App(connector=PsycopgConnector(conninfo=f"host={_host} port={_port} user=postgres dbname=postgres"))


async def _noop(value: int) -> None:
    _stamp()


noop = app.task(name="noop")(_noop)


class Producer:
    """defer and batch_defer."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._loop.run_until_complete(app.open_async())

    def add(self, count: int) -> None:
        """One by one."""

        async def work() -> None:
            for number in range(count):
                await noop.defer_async(value=number)

        self._loop.run_until_complete(work())

    def add_many(self, count: int) -> None:
        """A thousand per call."""

        async def work() -> None:
            for start in range(0, count, _CHUNK):
                numbers = range(start, min(start + _CHUNK, count))
                await noop.batch_defer_async(*({"value": number} for number in numbers))

        self._loop.run_until_complete(work())

    def round_trips(self, count: int) -> list[float]:
        """It stores no results and offers no wait: a look at the job's status every 5 ms."""

        async def work() -> list[float]:
            times = []
            for number in range(count):
                start = time.perf_counter()
                job = await noop.defer_async(value=number)
                while (await app.job_manager.get_job_status_async(job)).value != _ENDED:
                    await asyncio.sleep(0.005)
                times.append(time.perf_counter() - start)
            return times

        return self._loop.run_until_complete(work())
