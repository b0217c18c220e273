"""dramatiq over Redis."""

from __future__ import annotations

import time

import dramatiq  # type: ignore[import-not-found]
from dramatiq.brokers.redis import RedisBroker  # type: ignore[import-not-found]
from dramatiq.results import Results  # type: ignore[import-not-found]
from dramatiq.results.backends import RedisBackend  # type: ignore[import-not-found]

from benchmarks.peers.place import redis_url
from benchmarks.peers.tasks import hashed, noop

broker = RedisBroker(url=redis_url())
broker.add_middleware(Results(backend=RedisBackend(url=redis_url())))
dramatiq.set_broker(broker)


_ACTORS = {
    "noop": dramatiq.actor(noop, store_results=True),
    "bcrypt": dramatiq.actor(hashed, store_results=True),
}


class Producer:
    """send."""

    def add(self, count: int, task: str) -> None:
        """One by one; it knows no other way."""
        for number in range(count):
            _ACTORS[task].send(number)

    def round_trips(self, count: int) -> list[float]:
        """Its own blocking get of the result."""
        times = []
        for number in range(count):
            start = time.perf_counter()
            _ACTORS["noop"].send(number).get_result(block=True, timeout=30_000)
            times.append(time.perf_counter() - start)
        return times
