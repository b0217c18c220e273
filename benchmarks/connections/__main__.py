"""What connections cost, and how a manager serves beside them: python -m benchmarks.connections

Usage:
  connections [options]

Options:
  --idle N     Connections that have proved their key and then do nothing [default: 1000].
  --silent N   Connections that say nothing, in each of five waves [default: 2000].
  --tls        Over TLS.
  --json FILE  Write what was found, with date, machine and versions.
  --from FILE  Measure nothing: read what --json wrote.
  -h --help    Show this.

A manager at full durability without its page; the connections come from this process. About a minute.
"""

from __future__ import annotations

import resource
from typing import Any

from docopt import docopt

from benchmarks.connections.measuring import beside_idle, beside_silent
from benchmarks.connections.report import ConnectionsReport
from benchmarks.saved import report
from benchmarks.stage import stage
from benchmarks.usage import Steal


def main() -> int:
    """Measures or reads, then writes; gives the exit code."""
    options: dict[str, Any] = docopt(__doc__)
    return report("connections", options, ConnectionsReport, lambda: _measure(options))


def _measure(options: dict[str, Any]) -> ConnectionsReport:
    idle, silent = (_count(options, name) for name in ("--idle", "--silent"))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    steal = Steal()
    with stage("full", encrypted=options["--tls"]) as here:
        found = beside_idle(here, idle)
    with stage("full", encrypted=options["--tls"]) as here:
        handshakes = beside_silent(here, silent)
    return ConnectionsReport(
        stolen=steal.share(),
        idle=idle,
        silent=silent,
        alone=found.alone,
        memory=found.memory,
        cpu=found.cpu,
        calls=found.calls,
        handshakes=handshakes,
    )


def _count(options: dict[str, Any], name: str) -> int:
    if not options[name].isdecimal() or int(options[name]) < 1:
        raise ValueError(f"{name} takes a whole number from 1 on")
    return int(options[name])


if __name__ == "__main__":
    raise SystemExit(main())
