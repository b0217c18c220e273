"""Whether add, take and status stay as fast however many tasks wait: python -m benchmarks.backlog

Usage:
  backlog [options]

Options:
  --most N     The largest backlog; it grows tenfold from 10,000 on, and ends with this [default: 5000000].
  --times N    Calls of each kind at each size [default: 1000].
  --json FILE  Write what was found, with date, machine and versions.
  --into FILE  Put the table into this document, between its lines <!-- backlog --> and <!-- /backlog -->.
  --from FILE  Measure nothing: read what --json wrote.
  -h --help    Show this.

In process, over SQLite in a folder of its own, with the queue's own steps: what is measured is the cost of a
verb and nothing of wires. Durability is relaxed: a sync takes longer than all three verbs and would hide
how they grow. 5,000,000 tasks take about 1 GB in the folder for temporary files (TMPDIR).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
from docopt import docopt

from benchmarks.backlog.queue import Backlog, backlog
from benchmarks.backlog.report import BacklogReport, Size, Verb
from benchmarks.document import fill
from benchmarks.machine import machine, versions
from benchmarks.runner import LOOK
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
    try:
        report = BacklogReport.load(Path(options["--from"])) if options["--from"] else _measure(options)
        if options["--json"]:
            report.save(Path(options["--json"]))
        if options["--into"]:
            document = Path(options["--into"])
            document.write_text(fill(document.read_text("utf-8"), "backlog", report.markdown()), "utf-8")
    except (OSError, ValueError, msgspec.DecodeError) as error:
        print(f"backlog: {error}", file=sys.stderr)
        return 2
    print(report.markdown(), end="")
    return 0


def _measure(options: dict[str, Any]) -> BacklogReport:
    if not (options["--most"].isdecimal() and options["--times"].isdecimal()):
        raise ValueError("--most and --times take whole numbers")
    most, times = int(options["--most"]), max(1, int(options["--times"]))
    date = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    report = BacklogReport(date=date, times=times, machine=machine(), versions=versions())
    filled = 0
    with backlog() as here:
        for size in sizes(most):
            print(f"{size:,} ...", file=sys.stderr, flush=True)
            report.sizes.append(_at(here, size, size - filled, times))
            filled = size
    return report


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
