"""What is measured: each figure's name, words and unit, in the order in which tables show them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Figure:
    """One row of a table. `probe` is the measurement that gives it: what --only names."""

    name: str
    probe: str
    title: str
    unit: str
    more_is_better: bool = True


FIGURES: Final = (
    Figure("add", "add", "add one by one", "tasks/s"),
    Figure("add16", "add16", "add one by one, 16 producers", "tasks/s"),
    Figure("bulk", "bulk", "add in bulk", "tasks/s"),
    Figure("drain", "drain", "drain a backlog, 2 workers", "tasks/s"),
    Figure("cpu", "drain", "CPU of all processes per drained task", "µs", False),
    Figure("sustained", "sustained", "1 producer, 2 workers, one by one", "tasks/s"),
    Figure("sustained_bulk", "sustained_bulk", "1 producer, 2 workers, in hundreds", "tasks/s"),
    Figure("latency_p50", "latency", "add to result, idle, p50", "ms", False),
    Figure("latency_p95", "latency", "add to result, idle, p95", "ms", False),
    Figure("latency_p99", "latency", "add to result, idle, p99", "ms", False),
    Figure("half_p50", "half", "add to result, half load, p50", "ms", False),
    Figure("half_p95", "half", "add to result, half load, p95", "ms", False),
    Figure("half_p99", "half", "add to result, half load, p99", "ms", False),
    Figure("half_load", "half", "the load meanwhile", "tasks/s"),
    Figure("loaded_add_p50", "loaded", "one add beside a bulk loader, p50", "ms", False),
    Figure("loaded_add_p99", "loaded", "one add beside a bulk loader, p99", "ms", False),
    Figure("loaded_p50", "loaded", "add to result beside a bulk loader, p50", "ms", False),
    Figure("loaded_p95", "loaded", "add to result beside a bulk loader, p95", "ms", False),
    Figure("loaded_p99", "loaded", "add to result beside a bulk loader, p99", "ms", False),
    Figure("bcrypt", "bcrypt", "share of the machine's bcrypt rate (cost 4)", "%"),
    Figure("bcrypt_cpu", "bcrypt", "CPU per bcrypt task beyond bcrypt's own", "µs", False),
    Figure("crowd_p50", "crowd", "add to result, 1,000 idle workers, p50", "ms", False),
    Figure("crowd_p99", "crowd", "add to result, 1,000 idle workers, p99", "ms", False),
    Figure("crowd_memory", "crowd", "manager with 1,000 idle workers, PSS", "MB", False),
    Figure("crowd4000_p50", "crowd4000", "add to result, 4,000 idle workers, p50", "ms", False),
    Figure("crowd4000_p99", "crowd4000", "add to result, 4,000 idle workers, p99", "ms", False),
    Figure("crowd4000_memory", "crowd4000", "manager with 4,000 idle workers, PSS", "MB", False),
    Figure("idle_cpu", "idle", "CPU of the whole idle system", "%", False),
    Figure("memory", "idle", "manager, web and 2 workers, PSS", "MB", False),
    Figure("start_up", "idle", "start of the manager with its page", "s", False),
)

#: What --only may name.
PROBES: Final = tuple(dict.fromkeys(figure.probe for figure in FIGURES))

#: What is measured of other systems too.
SHARED: Final = ("add", "bulk", "drain", "sustained", "sustained_bulk", "latency", "bcrypt")
