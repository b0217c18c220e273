"""How long a running task stays away when its worker dies: python -m benchmarks.recovery

Usage:
  recovery [options]

Options:
  --times N    Deaths of a child and of a pool; of a silent host, which takes half a minute, a quarter as many
               [default: 20].
  --json FILE  Write what was found, with date, machine and versions.
  --from FILE  Measure nothing: read what --json wrote.
  -h --help    Show this.

A manager at full durability, a pool of one process that runs the task, and another that stands by: from the
signal until the task's function begins elsewhere.
"""

from __future__ import annotations

import sys
from typing import Any

from docopt import docopt

from benchmarks.recovery.deaths import DEATHS, seconds
from benchmarks.recovery.report import RecoveryReport
from benchmarks.saved import report
from benchmarks.stage import stage


def main() -> int:
    """Measures or reads, then writes; gives the exit code."""
    options: dict[str, Any] = docopt(__doc__)
    return report("recovery", options, RecoveryReport, lambda: _measure(options))


def _measure(options: dict[str, Any]) -> RecoveryReport:
    if not options["--times"].isdecimal() or int(options["--times"]) < 1:
        raise ValueError("--times takes a whole number from 1 on")
    times = int(options["--times"])
    found = RecoveryReport()
    with stage("full") as here:
        for death in DEATHS:
            took = found.seconds[death] = []
            for _ in range(times if death != "host" else -(-times // 4)):
                took.append(seconds(here, death))
                print(f"{death}: {took[-1]:.2f} s", file=sys.stderr, flush=True)
    return found


if __name__ == "__main__":
    raise SystemExit(main())
