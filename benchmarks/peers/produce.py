"""Drives a peer's application, in its environment: python -m benchmarks.peers.produce MODULE WORD COUNT

Prints the answer as JSON. Words:
    add      tasks per second, one by one
    bulk     tasks per second, with the peer's own bulk call
    fill     adds tasks, for a drain
    latency  seconds of each round trip, from add to result, one after the other

A module has a class `Producer`, made without arguments, with methods `add(count)`, `add_many(count)` and
`round_trips(count) -> list[float]`; an application that is asynchronous runs its loop inside of them.
"""

from __future__ import annotations

import importlib
import json
import sys
import time

_WARM_UP = 50


def main() -> None:
    """Does as the command line says."""
    module, word, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    producer = importlib.import_module(module).Producer()
    if word == "latency":
        producer.round_trips(_WARM_UP)
        answer = producer.round_trips(count)
    else:
        work = (
            producer.add_many if word in ("bulk", "fill") and hasattr(producer, "add_many") else producer.add
        )
        if word != "fill":
            work(_WARM_UP)
        start = time.perf_counter()
        work(count)
        answer = count / (time.perf_counter() - start)
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
