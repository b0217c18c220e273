"""Where the time of one call goes: python -m benchmarks.anatomy

Usage:
  anatomy [options]

Options:
  --json FILE  Write what was found, with date, machine and versions.
  --from FILE  Measure nothing: read what --json wrote.
  -h --help    Show this.

Calls one after the other on an idle machine, and beside them the parts that no queue can do without: waking
two processes, a message to and fro, a synced write, the store alone. Half a minute.
"""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import Any

from docopt import docopt

from benchmarks.anatomy import calls, floors
from benchmarks.anatomy.report import AnatomyReport
from benchmarks.probe import DURABILITIES
from benchmarks.saved import report


def main() -> int:
    """Measures or reads, then writes; gives the exit code."""
    options: dict[str, Any] = docopt(__doc__)
    logging.getLogger("qm.client").setLevel(logging.ERROR)  # "no worker serves this type": we know
    return report("anatomy", options, AnatomyReport, _measure)


def _measure() -> AnatomyReport:
    found = AnatomyReport()
    folder = Path(tempfile.gettempdir())
    found.floors = {
        "one byte to a process and back": floors.ping(),
        "a message of an add's length, packed, framed, echoed": floors.echo(),
        "8 KiB written and synced": floors.sync(folder),
        "an add in the store alone, relaxed": calls.store("relaxed", folder),
        "an add in the store alone, full": calls.store("full", folder),
    }
    found.calls["status"] = calls.statuses("relaxed")
    for durability in DURABILITIES:
        found.calls[f"add, {durability}"] = calls.adds(durability)
        found.calls[f"exchange of one task, {durability}"] = calls.exchanges(durability)
    return found


if __name__ == "__main__":
    raise SystemExit(main())
