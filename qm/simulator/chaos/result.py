"""How far a run is, and what came of it."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from qm.simulator.chaos.oracle import Findings
from qm.simulator.chaos.schedule import ChaosPlan


class Progress(Struct, frozen=True):
    """How far a run is."""

    phase: str
    seconds: float
    added: int
    ended: int
    manager_kills: int
    worker_kills: int
    faults: int

    def __str__(self) -> str:
        return (
            f"{self.phase}, {self.seconds:.0f} s: {self.added:,} added, {self.ended:,} ended; "
            f"{self.manager_kills} kills of the manager, {self.worker_kills} of workers, {self.faults} faults"
        )


class Result(Struct, frozen=True):
    """What came of a run. `elapsed` in seconds, with start, drain and audit; `logs`: kept where it failed."""

    plan: ChaosPlan
    findings: Findings
    elapsed: float
    logs: Path | None

    @property
    def holds(self) -> bool:
        """Whether it passed."""
        return self.findings.holds
