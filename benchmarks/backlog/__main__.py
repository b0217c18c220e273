"""Whether add, take and status stay as fast however many tasks wait: python -m benchmarks.backlog

Usage:
  backlog [options]

Options:
  --most N     The largest backlog; it grows tenfold from 10,000 on, and ends with this [default: 5000000].
  --times N    Calls of each kind at each size [default: 1000].
  --json FILE  Write what was found, with date, machine and versions.
  --from FILE  Measure nothing: read what --json wrote.
  -h --help    Show this.

In process, over SQLite in a folder of its own, with the queue's own steps: what is measured is the cost of a
verb and nothing of wires. Durability is relaxed: a sync takes longer than all three verbs and would hide
how they grow. 5,000,000 tasks take about 1 GB in the folder for temporary files (TMPDIR).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, Final

from docopt import docopt

from benchmarks.backlog.queue import Backlog, backlog
from benchmarks.backlog.report import BacklogReport, Size, Verb
from benchmarks.runner import LOOK
from benchmarks.saved import report
from benchmarks.timing import percentile, seconds
from benchmarks.usage import Steal, busy_share

_LEAST: Final = 10_000


def sizes(most: int) -> Iterator[int]:
    """10,000, 100,000, ... and `most`."""
    size = _LEAST
    while size < most:
        yield size
        size *= 10
    yield most


def main() -> int:
    """Measures or reads, then writes; gives the exit code."""
    options: dict[str, Any] = docopt(__doc__)
    return report("backlog", options, BacklogReport, lambda: _measure(options))


def _measure(options: dict[str, Any]) -> BacklogReport:
    if not (options["--most"].isdecimal() and options["--times"].isdecimal()):
        raise ValueError("--most and --times take whole numbers")
    most, times = int(options["--most"]), max(1, int(options["--times"]))
    found = BacklogReport(times=times)
    filled = 0
    with backlog() as here:
        for size in sizes(most):
            print(f"{size:,} ...", file=sys.stderr, flush=True)
            found.sizes.append(_at(here, size, size - filled, times))
            filled = size
    return found


def _at(here: Backlog, size: int, missing: int, times: int) -> Size:
    before, steal = busy_share(LOOK), Steal()
    took = seconds(lambda: here.grow(size))
    disk = here.disk()
    verbs = {
        name: Verb(p50=percentile(found, 50), p99=percentile(found, 99))
        for name, found in here.measure(times).items()
    }
    stolen, others = steal.share(), max(before, busy_share(LOOK))
    return Size(
        waiting=size, verbs=verbs, filled=missing, seconds=took, disk=disk, stolen=stolen, others=others
    )


if __name__ == "__main__":
    raise SystemExit(main())
