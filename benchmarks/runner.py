"""Runs probes, interleaved, and keeps what they found."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from benchmarks.machine import machine, versions
from benchmarks.probe import Probe
from benchmarks.report import NOISY, Failure, Report, Sample, System
from benchmarks.usage import Steal, busy_share

#: Seconds between two measurements in which nothing of ours runs.
LOOK: Final = 0.3


def run(probes: Sequence[Probe], systems: Sequence[System], runs: int) -> Report:
    """Every probe once, then every probe again: a noisy minute hits one run of each and not one system. A
    probe that fails is noted and does not stop the others."""
    date = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    report = Report(date=date, runs=runs, machine=machine(), versions=versions(), systems=list(systems))
    others = busy_share(LOOK)
    for number in range(1, runs + 1):
        for probe in probes:
            _say(f"run {number} of {runs}: {probe.system}: {probe.name} ... ")
            others = _once(report, probe, number, others)
    return report


def _once(report: Report, probe: Probe, number: int, before: float) -> float:
    """`before` is what other programs used just before; gives what they used just after."""
    steal = Steal()
    try:
        found = probe.measure()
    except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
        report.failures.append(Failure(system=probe.system, probe=probe.name, run=number, why=str(error)))
        _say(f"failed: {error}\n")
        return busy_share(LOOK)
    stolen, after = steal.share(), busy_share(LOOK)
    others = max(before, after)
    noisy = max(stolen, others) > NOISY
    for figure, value in found.items():
        report.samples.append(
            Sample(
                system=probe.system,
                figure=figure,
                run=number,
                value=value,
                stolen=stolen,
                others=others,
                noisy=noisy,
            )
        )
    words = ", ".join(f"{name} {value:,.4g}" for name, value in found.items())
    doubt = f"  (noisy: {stolen:.0%} stolen, {others:.0%} used by others)" if noisy else ""
    _say(f"{words}{doubt}\n")
    return after


def _say(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()
