"""Faults under load, and an audit of what was promised meanwhile.

    producers ──┐                            ┌─► managers   killed, stopped
                ├─► proxies: cuts, delays ───┤       └─► database   crashed, connections ended
    pools ──────┘                            └── children and parents killed, stopped
       │            │            │
       └────────── journals ─────┴──► oracle ──► verdict

run       ─ the phases: start, faults, calm, drain, audit
  schedule  ─ pure: which fault at which moment, by seed
  director  ─ carries them out, and starts again what died
  managers  ─ the managers, each with its proxy; several share one database
  database  ─ what is done to that
  programs  ─ managers and pools as processes
  proxy     ─ what stands between a manager and all others; ear hears there what the manager answers
  producer  ─ adds and reads; work is what the workers run
journal   ─ what each of them saw, a line an event
oracle    ─ pure: journals in, findings out; story has one task's, claims whose
            they were; report says it to people

Everybody writes down what he was told, and nobody asks a manager about itself before the end: its store is
what is on trial.
"""

from qm.simulator.chaos import report
from qm.simulator.chaos.oracle import Findings, judge
from qm.simulator.chaos.result import Progress, Result
from qm.simulator.chaos.run import Chaos
from qm.simulator.chaos.schedule import ChaosPlan

__all__ = ["Chaos", "ChaosPlan", "Findings", "Progress", "Result", "judge", "report"]
