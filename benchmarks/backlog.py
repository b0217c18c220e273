"""Whether add, take and status stay as fast however many tasks wait: python -m benchmarks.backlog

Usage:
  backlog [--most N] [--times N]

Options:
  --most N   The largest backlog; it grows tenfold from 10,000 on, and ends with this [default: 1000000].
  --times N  Calls of each kind at each size [default: 1000].
  -h --help  Show this.

In process, over SQLite in a folder of its own, with the queue's own steps: what is measured is the cost of a
verb and nothing of wires. Durability is relaxed: a sync takes longer than all three verbs and would hide
how they grow. Prints microseconds: the median, and the 99th percentile in brackets.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from docopt import docopt

from benchmarks.timing import percentile, seconds
from qm import new_task
from qm.ids import new_id
from qm.messages import Claim, Finish, Slot, TypeOptions, WorkerInfo
from qm.payload import pack
from qm.queue import Queue
from qm.store.sqlite.store import SQLiteStore

_LEAST: Final = 10_000
_CHUNK: Final = 1_000
_TYPES: Final = ("mail", "report", "thumbnail")
_PRIORITIES: Final = (0, 0, 0, 1, -1)


class Backlog:
    """A queue with a backlog, and a worker of it."""

    def __init__(self, queue: Queue, store: SQLiteStore) -> None:
        self._queue = queue
        self._store = store
        self._numbers = itertools.count()
        self._calls = itertools.count(1)
        info = WorkerInfo(
            session=new_id(), host="bench", pid=1, processes=1, types={t: TypeOptions() for t in _TYPES}
        )
        queue.attach(info)
        self._slot = Slot(info.session, 0, 0)

    def grow(self, size: int) -> None:
        """Adds until `size` tasks wait."""
        missing = size - self._store.waiting(_TYPES)
        for start in range(0, missing, _CHUNK):
            count = min(_CHUNK, missing - start)
            self._store.add([self._task() for _ in range(count)], time.time())

    def measure(self, times: int) -> dict[str, list[float]]:
        """Seconds of each call, the kinds in turn; the backlog stays as long as it is."""
        found: dict[str, list[float]] = {"add": [], "take": [], "status": []}
        for _ in range(times):
            tasks = [self._task()]
            found["add"].append(seconds(lambda tasks=tasks: self._queue.add(tasks)))  # type: ignore[misc]
            found["take"].append(self._take())
            found["status"].append(seconds(self._queue.status))
        return found

    def _take(self) -> float:
        claim = Claim(slot=self._slot, call=next(self._calls), holding=[], types=list(_TYPES))
        start = time.perf_counter()
        (taken,) = self._queue.take(claim)
        took = time.perf_counter() - start
        self._queue.finish([Finish(taken.lease, pack(None))])
        return took

    def _task(self) -> Any:
        number = next(self._numbers)
        priority = _PRIORITIES[number % len(_PRIORITIES)]
        return new_task(_TYPES[number % len(_TYPES)], number, priority=priority)


def sizes(most: int) -> Iterator[int]:
    """10,000, 100,000, ... and `most`."""
    size = _LEAST
    while size < most:
        yield size
        size *= 10
    yield most


def main() -> int:
    """Fills, measures, fills on."""
    options: dict[str, Any] = docopt(__doc__)
    if not (options["--most"].isdecimal() and options["--times"].isdecimal()):
        print("backlog: --most and --times take whole numbers", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="qmanager-bench.") as folder:
        store = SQLiteStore.open(Path(folder) / "queue.db", durability="relaxed")
        queue = Queue(store)
        queue.start()
        try:
            _table(Backlog(queue, store), sizes(int(options["--most"])), int(options["--times"]))
        finally:
            queue.drain()
            store.close()
    return 0


def _table(backlog: Backlog, wanted: Iterator[int], times: int) -> None:
    print(f"{'waiting':>12}{'add':>20}{'take':>20}{'status':>20}", flush=True)
    for size in wanted:
        backlog.grow(size)
        cells = [
            f"{percentile(found, 50) * 1e6:,.0f} ({percentile(found, 99) * 1e6:,.0f})"
            for found in backlog.measure(max(1, times)).values()
        ]
        print(f"{size:>12,}" + "".join(f"{cell:>20}" for cell in cells), flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
