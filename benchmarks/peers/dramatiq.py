"""dramatiq over Redis."""

from __future__ import annotations

import time

import dramatiq  # type: ignore[import-not-found]
from dramatiq.brokers.redis import RedisBroker  # type: ignore[import-not-found]
from dramatiq.results import Results  # type: ignore[import-not-found]
from dramatiq.results.backends import RedisBackend  # type: ignore[import-not-found]

from benchmarks.peers.place import redis_url
from benchmarks.stamps import Stamper

_stamp = Stamper()

broker = RedisBroker(url=redis_url())
broker.add_middleware(Results(backend=RedisBackend(url=redis_url())))
dramatiq.set_broker(broker)


def _noop(value: int) -> int:
    _stamp()
    return value


noop = dramatiq.actor(_noop, store_results=True)


class Producer:
    """send."""

    def add(self, count: int) -> None:
        """One by one; it knows no other way."""
        for number in range(count):
            noop.send(number)

    def round_trips(self, count: int) -> list[float]:
        """Its own blocking get of the result."""
        times = []
        for number in range(count):
            start = time.perf_counter()
            noop.send(number).get_result(block=True, timeout=30_000)
            times.append(time.perf_counter() - start)
        return times
