"""latency, half, loaded: from add to result, as somebody sees it who waits for it."""

from __future__ import annotations

import time

from benchmarks.completing import sustained
from benchmarks.crew import background
from benchmarks.producing import UNSERVED, evenly, in_bulk
from benchmarks.stage import stage
from benchmarks.timing import milliseconds, seconds
from qm import Client

_TIMES = 500
_WARM_UP = 50
_LOADING = 0.5
_BULK = 5_000
_SUSTAINED_BULK = 100
_FINDING = 2.0
_EMPTYING = 60.0


def latency(durability: str) -> dict[str, float]:
    """One task at a time through an idle system."""
    with stage(durability, workers=2) as here, here.client() as client:
        return milliseconds("latency", round_trips(client))


def loaded(durability: str) -> dict[str, float]:
    """A single add, and one task at a time, beside a producer that adds in bulk without a pause."""
    with (
        stage(durability, workers=2) as here,
        here.client() as client,
        background(lambda: in_bulk(here, UNSERVED, _BULK)),
    ):
        time.sleep(_LOADING)
        adds = [seconds(lambda: client.add(UNSERVED)) for _ in range(_TIMES)]
        trips = round_trips(client)
    return milliseconds("loaded_add", adds, (50, 99)) | milliseconds("loaded", trips)


def half(durability: str) -> dict[str, float]:
    """One task at a time, beside half of what the system sustains, which is found out first."""
    with stage(durability, workers=2) as here, here.client() as client:
        with background(lambda: in_bulk(here, "noop", _SUSTAINED_BULK)):
            rate = sustained(here.stamps, _FINDING)
        _empty(client)
        with background(lambda: evenly(here, "noop", rate / 2)):
            time.sleep(_LOADING)
            start, before = time.monotonic(), here.stamps.count()
            trips = round_trips(client)
            load = (here.stamps.count() - before - _WARM_UP - _TIMES) / (time.monotonic() - start)
    return {**milliseconds("half", trips), "half_load": load}


def _empty(client: Client) -> None:
    """Returns when no task is left. Raises `TimeoutError`."""
    deadline = time.monotonic() + _EMPTYING
    while (status := client.status()).wait + status.progress:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{status.wait:,} tasks still waited after {_EMPTYING:g} s")
        time.sleep(0.05)


def round_trips(client: Client) -> list[float]:
    """Seconds from before an add until its result is here, one task after the other."""

    def once() -> None:
        client.result(client.add("noop"), wait=30)

    return [seconds(once) for _ in range(_WARM_UP + _TIMES)][_WARM_UP:]
