"""idle: what the whole system takes while nothing happens."""

from __future__ import annotations

import time

from benchmarks.stage import stage
from benchmarks.usage import pss_megabytes

_SETTLE, _SECONDS = 2.0, 10.0


def idle(durability: str) -> dict[str, float]:
    """CPU over ten seconds in percent of one processor, memory, and how long the manager took to start."""
    with stage(durability, web=True, workers=2) as here:
        time.sleep(_SETTLE)
        before, start = here.cpu_seconds(), time.monotonic()
        time.sleep(_SECONDS)
        used = (here.cpu_seconds() - before) / (time.monotonic() - start)
        return {"idle_cpu": 100 * used, "memory": pss_megabytes(here.pids()), "start_up": here.started}
