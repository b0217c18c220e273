"""Measures qmanager, and other task queues beside it: python -m benchmarks

Usage:
  benchmarks [options]

Options:
  --runs N            Interleaved runs of everything; medians are taken over them [default: 5].
  --only NAMES        Only these, separated by commas: add, add16, bulk, drain, sustained, sustained_bulk,
                      latency, half, loaded, bcrypt, crowd, crowd4000, idle.
  --durability NAMES  Only these, separated by commas: full, relaxed, memory (default: all three); and
                      postgres, the same over a fresh PostgreSQL.
  --peers NAMES       Measure these beside it, separated by commas or spaces. They are installed into
                      .bench/. Without --only, only what others can do too is measured then: add, bulk,
                      drain, sustained, sustained_bulk, latency, bcrypt.
  --json FILE         Write all samples, with date, machine and versions.
  --svg FILE          Draw a chart.
  --markdown          Print the table; so it does without any of these four too.
  --into FILE         Put the table into this document, between its lines <!-- figures --> and
                      <!-- /figures -->.
  --from FILE         Measure nothing: read what --json wrote.
  -h, --help          Show this.

Exit codes: 0 measured; 1 something could not be measured; 2 wrong usage.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from docopt import docopt

from benchmarks import probe, systems
from benchmarks.chart import chart
from benchmarks.document import fill
from benchmarks.figures import PROBES, SHARED
from benchmarks.peers import measuring
from benchmarks.report import Report
from benchmarks.runner import run
from benchmarks.table import markdown

_FAILED: Final = 1
_WRONG: Final = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Measures or reads, then writes; gives the exit code."""
    # "no worker serves this type": we know, each time
    logging.getLogger("qm.client").setLevel(logging.ERROR)
    options: dict[str, Any] = docopt(__doc__, None if argv is None else list(argv))
    try:
        report = Report.load(Path(options["--from"])) if options["--from"] else _measure(options)
        _write(report, options)
    except (OSError, ValueError, msgspec.DecodeError) as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return _WRONG
    return _FAILED if report.failures else 0


def _write(report: Report, options: dict[str, Any]) -> None:
    if options["--json"]:
        report.save(Path(options["--json"]))
    if options["--svg"]:
        Path(options["--svg"]).write_text(chart(report), "utf-8")
    if options["--into"]:
        document = Path(options["--into"])
        document.write_text(fill(document.read_text("utf-8"), "figures", markdown(report)), "utf-8")
    if options["--markdown"] or not any(options[name] for name in ("--json", "--svg", "--into")):
        print(markdown(report), end="")


def _measure(options: dict[str, Any]) -> Report:
    peers = _names(options["--peers"])
    names = _chosen(options["--only"], PROBES) if options["--only"] else SHARED if peers else PROBES
    wanted = options["--durability"] or ",".join(probe.DURABILITIES)
    durabilities = _chosen(wanted, (*probe.DURABILITIES, probe.POSTGRES))
    if not options["--runs"].isdecimal() or int(options["--runs"]) < 1:
        raise ValueError(f"--runs takes a whole number from 1 on, not {options['--runs']!r}")
    probes = probe.ours(names, durabilities)
    measured = [s for s in systems.ours() if s.name in {p.system for p in probes}]
    others = measuring.peers(peers, names)
    return run([*probes, *others.probes], [*measured, *others.systems], int(options["--runs"]))


def _names(text: str | None) -> list[str]:
    return (text or "").replace(",", " ").split()


def _chosen(text: str | None, possible: Sequence[str]) -> Sequence[str]:
    names = _names(text) or list(possible)
    if unknown := [name for name in names if name not in possible]:
        raise ValueError(f"there is no {unknown[0]!r} here; there are {', '.join(possible)}")
    return names


if __name__ == "__main__":
    raise SystemExit(main())
