"""Drives a peer's application, in its environment: python -m benchmarks.peers.produce MODULE WORD COUNT TASK

TASK is noop or bcrypt. Prints the answer as JSON. Words:
    add             tasks per second, one by one
    bulk            tasks per second, with the peer's own bulk call
    fill            adds tasks, for a drain
    sustained       adds one by one until it is killed
    sustained_bulk  adds in bulk, COUNT per call, until it is killed
    latency         seconds of each round trip, from add to result, one after the other

A module has a class `Producer`, made without arguments, with methods `add(count, task)`,
`add_many(count, task)` and `round_trips(count) -> list[float]`; an application that is asynchronous runs its
loop inside of them.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable
from typing import Any, Final

_WARM_UP: Final = 50


def main() -> None:
    """Does as the command line says."""
    module, word, count, task = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
    producer = importlib.import_module(module).Producer()
    if word == "latency":
        producer.round_trips(_WARM_UP)
        answer = producer.round_trips(count)
    else:
        answer = _adding(producer, word, count, task)
    print(json.dumps(answer))


def _adding(producer: Any, word: str, count: int, task: str) -> float | None:
    many = word in ("bulk", "sustained_bulk") or (word == "fill" and hasattr(producer, "add_many"))
    work: Callable[[int, str], None] = producer.add_many if many else producer.add
    if word == "fill":
        work(count, task)
        return None
    while word.startswith("sustained"):
        work(count, task)
    work(_WARM_UP, task)
    start = time.perf_counter()
    work(count, task)
    return count / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
