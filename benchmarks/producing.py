"""add, add16, bulk: tasks go in, nobody takes them out."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

from benchmarks.crew import rate
from benchmarks.stage import Stage, stage
from qm import new_task

_SECONDS = 1.5
_CROWD = 16
_BULK = 5_000
_TICK = 0.01

#: A type that no worker of ours serves.
UNSERVED = "nobody-serves-this"


def add(durability: str) -> dict[str, float]:
    """One producer, one task per call."""
    with stage(durability) as here:
        return {"add": rate(1, _SECONDS, lambda: one_by_one(here, UNSERVED))}


def add16(durability: str) -> dict[str, float]:
    """Sixteen producer processes, one task per call."""
    with stage(durability) as here:
        return {"add16": rate(_CROWD, _SECONDS, lambda: one_by_one(here, UNSERVED))}


def bulk(durability: str) -> dict[str, float]:
    """One producer, thousands of tasks per call; making the tasks is part of it."""
    with stage(durability) as here:
        return {"bulk": rate(1, _SECONDS, lambda: in_bulk(here, UNSERVED, _BULK))}


def one_by_one(here: Stage, type: str) -> Callable[[], int]:
    """A step that adds one task."""
    client = here.client()
    numbers = itertools.count()

    def step() -> int:
        client.add(type, next(numbers))
        return 1

    return step


def in_bulk(here: Stage, type: str, size: int) -> Callable[[], int]:
    """A step that adds `size` tasks."""
    client = here.client()

    def step() -> int:
        return len(client.add_many(new_task(type, n) for n in range(size)))

    return step


def evenly(here: Stage, type: str, rate: float) -> Callable[[], int]:
    """A step that waits a moment and then adds what is due by then, at `rate` tasks per second."""
    client = here.client()
    start, added = time.monotonic(), 0

    def step() -> int:
        nonlocal added
        time.sleep(_TICK)
        due = int((time.monotonic() - start) * rate) - added
        added += due
        return len(client.add_many(new_task(type, n) for n in range(due)))

    return step
