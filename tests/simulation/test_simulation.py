"""Two thousand worlds: every promise holds in each, and everything comes to an end."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.simulation.simulation import Simulation, simulate, storehouse

#: A world on SQLite takes three times as long as one in memory.
CHUNK = 100
CHUNKS = [("memory", start) for start in range(0, 1400, CHUNK)]
CHUNKS += [("sqlite", start) for start in range(1400, 2000, CHUNK)]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """The manager has much to say about what is done to it."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize(("kind", "first"), CHUNKS)
def test_every_promise_holds_in_a_world_of_faults(kind: str, first: int) -> None:
    for seed in range(first, first + CHUNK):
        simulate(seed, kind)


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_a_seed_tells_the_same_story_each_time(kind: str) -> None:
    assert told(7, kind) == told(7, kind)


def told(seed: int, kind: str) -> list[str]:
    """The trace of a world; only the leases' random tokens may differ."""
    with storehouse(kind) as house:
        simulation = Simulation(seed, house, traced=True)
        simulation.run()
    return [re.sub(r"token=-?\d+", "token", line) for line in simulation.world.trace or []]


def test_the_worlds_are_rough_enough() -> None:
    """Whatever can happen does, in a few hundred worlds; or the others prove less than they seem to."""
    seen: Counter[str] = Counter()
    for seed in range(300):
        with storehouse("memory") as house:
            simulation = Simulation(seed, house)
            simulation.run()
            seen += simulation.oracle.seen
    missing = [event for event in EVENTS if seen[event] < 5]
    assert missing == [], f"too rare: {missing} of {seen}"


EVENTS = (
    *(f"{verb} {verdict}" for verb in ("finish", "fail", "retry") for verdict in ("accepted", "repeated")),
    *("finish lost", "release accepted", "release lost", "a late call", "given back", "an order to stop"),
    *("add created", "add duplicate", "add conflict", "NotCommitted", "SessionLost", "BadRequest"),
    *("crashed", "crashed by its parent", "parked", "silent", "forgiven", "broken off", "restarted"),
    *("cancelled", "cancelled while it ran", "requeued", "forgotten", "expired", "due"),
)
