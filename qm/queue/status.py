"""status: how things stand."""

from __future__ import annotations

import heapq
from collections.abc import Mapping

from qm.limits import STATUS_POOLS_MAX, STATUS_TYPES_MAX
from qm.messages import Status
from qm.queue.core import Core
from qm.task import PROGRESS, WAIT, Counts, State
from qm.version import __version__


def status(core: Core) -> Status:
    """Counts, connected workers, and what nobody serves. Costs the same whatever the number of tasks."""
    counts = Counts.of(core.store.counts())
    waiting = [name for name, states in counts.types.items() if states.get(State.WAITING)]
    types, workers = _busiest(counts.types), core.sessions.status()
    unserved = core.sessions.unserved(waiting)
    return Status(
        wait=counts.wait,
        progress=counts.progress,
        done=counts.done,
        states=counts.states,
        types=types,
        types_left=len(counts.types) - len(types),
        workers=workers[-STATUS_POOLS_MAX:],
        workers_left=max(0, len(workers) - STATUS_POOLS_MAX),
        processes=sum(worker.processes for worker in workers),
        unserved=unserved[:STATUS_TYPES_MAX],
        unserved_left=max(0, len(unserved) - STATUS_TYPES_MAX),
        now=core.clock.now(),
        started=core.started,
        version=__version__,
        store=core.store.kind,
        ended=core.endings.told + (core.neighbours.ended if core.neighbours else 0),
        draining=core.draining,
        others=sorted(one.name for one in core.neighbours.others.values()) if core.neighbours else [],
    )


def _busiest(types: dict[str, dict[State, int]]) -> dict[str, dict[State, int]]:
    """Those with most to do, of equals those with most tasks."""
    if len(types) <= STATUS_TYPES_MAX:
        return types
    return dict(heapq.nlargest(STATUS_TYPES_MAX, types.items(), key=lambda item: _work(item[1])))


def _work(states: Mapping[State, int]) -> tuple[int, int]:
    return sum(states.get(state, 0) for state in (*WAIT, *PROGRESS)), sum(states.values())
