"""drain, bcrypt, sustained: two workers at work, results stored."""

from __future__ import annotations

import time
from collections.abc import Callable

from benchmarks import raw
from benchmarks.crew import background
from benchmarks.producing import in_bulk, one_by_one
from benchmarks.stage import Stage, stage
from benchmarks.timing import middle_rate
from qm import new_task

_BACKLOG = 20_000
_HASHES = 3_000
_DRAIN_TIMEOUT = 120.0
_SUSTAINED, _WARM_UP = 5.0, 1.0


def drain(durability: str) -> dict[str, float]:
    """A backlog of tasks that do nothing; the workers come when it is there."""
    with stage(durability) as here:
        speed, cpu = _drained(here, "noop", _BACKLOG)
    return {"drain": speed, "cpu": cpu * 1e6}


def bcrypt(durability: str) -> dict[str, float]:
    """A backlog of computing, against what two plain processes did just before or just after: the better of
    the two, so that a neighbour's busy second never makes us look good."""
    before = raw.bcrypt()
    with stage(durability) as here:
        speed, cpu = _drained(here, "bcrypt", _HASHES)
    machine = max(before, raw.bcrypt())
    return {"bcrypt": 100 * speed / machine.rate, "bcrypt_cpu": (cpu - machine.cpu) * 1e6}


def sustained(durability: str) -> dict[str, float]:
    """Completions while one producer adds one by one as fast as it can."""
    return {"sustained": _sustained(durability, lambda here: one_by_one(here, "noop"))}


def sustained_bulk(durability: str) -> dict[str, float]:
    """Completions while one producer adds hundreds per call as fast as it can."""
    return {"sustained_bulk": _sustained(durability, lambda here: in_bulk(here, "noop", 100))}


def _drained(here: Stage, type: str, count: int) -> tuple[float, float]:
    """Tasks per second over the middle 80 %, and CPU seconds per task in about that time."""
    with here.client() as client:
        ids = client.add_many(new_task(type, f"task {n}") for n in range(count))
        with here.pool():
            marks = []
            for share in (0.1, 0.9):
                here.stamps.wait(int(share * count), _DRAIN_TIMEOUT)
                marks.append((here.stamps.count(), here.cpu_seconds()))
            here.stamps.wait(count, _DRAIN_TIMEOUT)
            missing = sum(task.output is None for task in client.get_many(ids, wait=30))
    if missing:
        raise RuntimeError(f"{missing:,} of {count:,} results were not stored")
    (some, before), (most, after) = marks
    return middle_rate(here.stamps.times()), (after - before) / max(1, most - some)


def _sustained(durability: str, producer: Callable[[Stage], Callable[[], int]]) -> float:
    with stage(durability, workers=2) as here, background(lambda: producer(here)):
        time.sleep(_WARM_UP)
        start, before = time.monotonic(), here.stamps.count()
        time.sleep(_SUSTAINED)
        return (here.stamps.count() - before) / (time.monotonic() - start)
