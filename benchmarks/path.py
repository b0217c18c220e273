"""The path of a task, measured: python -m benchmarks.path [RUNS]

Prints the median of RUNS (5) runs of each figure, with its least and largest:
    round trip   a call that does nothing, one client, microseconds
    bulk add     tasks per second, 5,000 in one call
    drain        tasks per second from a backlog of no-op tasks, two worker processes, results stored
    latency      milliseconds from add to result, idle system
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

from benchmarks.stage import Stage, stage
from qm import new_task
from qm.wire.address import parse_address
from qm.wire.keys import read_key
from qm.wire.remote import Remote

_TASKS = 5_000
_BACKLOG = 40_000


def round_trip(here: Stage) -> float:
    """Microseconds."""
    remote = Remote(parse_address(here.address, 0), read_key(here.home / "authkey"))
    done = remote.done()
    times = [_seconds(done.count) for _ in range(2_000)]
    return statistics.median(times) * 1e6


def bulk_add(here: Stage) -> float:
    """Tasks per second."""
    tasks = [new_task("nobody-serves-this", n) for n in range(_TASKS)]
    with here.client() as client:
        return _TASKS / _seconds(lambda: client.add_many(tasks))


def drain(here: Stage) -> float:
    """Tasks per second while the middle 80 % of a backlog go, two worker processes, results stored."""
    with here.client() as client:
        before = client.status().done
        client.add_many(new_task("noop", n) for n in range(_BACKLOG))
        with here.pool(2):
            moments = []
            for share in (0.1, 0.9):
                while client.status().done < before + share * _BACKLOG:
                    time.sleep(0.002)
                moments.append((time.perf_counter(), client.status().done))
    (start, some), (end, most) = moments
    return (most - some) / (end - start)


def latency(here: Stage) -> float:
    """Milliseconds."""
    with here.client() as client:

        def once() -> None:
            client.result(client.add("noop"), wait=10)

        times = [_seconds(once) for _ in range(200)]
    return statistics.median(times) * 1e3


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    """Runs all, durability by durability, interleaved."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    figures: dict[tuple[str, str], list[float]] = {}
    for _ in range(runs):
        for durability in ("full", "relaxed"):
            for workers, measures in ((0, (round_trip, bulk_add, drain)), (2, (latency,))):
                with stage(durability, workers=workers) as here:
                    for measure in measures:
                        figures.setdefault((measure.__name__, durability), []).append(measure(here))
    print(f"{'':24}{'median':>12}{'least':>12}{'largest':>12}")
    for (name, durability), found in figures.items():
        low, high = min(found), max(found)
        print(f"{name + ' ' + durability:24}{statistics.median(found):12,.2f}{low:12,.2f}{high:12,.2f}")


if __name__ == "__main__":
    main()
