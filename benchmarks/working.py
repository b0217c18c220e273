"""drain, bcrypt, sustained: two workers at work, results stored."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks import completing, raw
from benchmarks.completing import Drained
from benchmarks.crew import background
from benchmarks.producing import in_bulk, one_by_one
from benchmarks.stage import Stage, stage
from qm import new_task

_BACKLOG = 20_000


def drain(durability: str) -> dict[str, float]:
    """A backlog of tasks that do nothing; the workers come when it is there."""
    with stage(durability) as here:
        found = _drained(here, "noop", _BACKLOG)
    return {"drain": found.rate, "cpu": found.cpu * 1e6}


def bcrypt(durability: str) -> dict[str, float]:
    """A backlog of computing, against what two plain processes did just before or just after: the better of
    the two, so that a neighbour's busy second never makes us look good."""
    before = raw.bcrypt()
    with stage(durability) as here:
        found = _drained(here, "bcrypt", raw.HASHES)
    return raw.share(found, max(before, raw.bcrypt()))


def sustained(durability: str) -> dict[str, float]:
    """Completions while one producer adds one by one as fast as it can."""
    return {"sustained": _sustained(durability, lambda here: one_by_one(here, "noop"))}


def sustained_bulk(durability: str) -> dict[str, float]:
    """Completions while one producer adds hundreds per call as fast as it can."""
    return {"sustained_bulk": _sustained(durability, lambda here: in_bulk(here, "noop", 100))}


def _drained(here: Stage, type: str, count: int) -> Drained:
    with here.client() as client:
        ids = client.add_many(new_task(type, f"task {n}") for n in range(count))
        with here.pool():
            found = completing.drained(here.stamps, here.cpu_seconds, count)
            missing = sum(task.output is None for task in client.get_many(ids, wait=30))
    if missing:
        raise RuntimeError(f"{missing:,} of {count:,} results were not stored")
    return found


def _sustained(durability: str, producer: Callable[[Stage], Callable[[], int]]) -> float:
    with stage(durability, workers=2) as here, background(lambda: producer(here)):
        return completing.sustained(here.stamps)
