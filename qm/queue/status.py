"""status: how things stand."""

from __future__ import annotations

from qm.messages import Status
from qm.queue.core import Core
from qm.task import Counts, State
from qm.version import __version__


def status(core: Core) -> Status:
    """Counts, connected workers, and what nobody serves. Costs the same whatever the number of tasks."""
    counts = Counts.of(core.store.counts())
    waiting = [name for name, states in counts.types.items() if states.get(State.WAITING)]
    return Status(
        wait=counts.wait,
        progress=counts.progress,
        done=counts.done,
        states=counts.states,
        types=counts.types,
        workers=core.sessions.status(),
        unserved=core.sessions.unserved(waiting),
        now=core.clock.now(),
        started=core.started,
        version=__version__,
        store=core.store.kind,
        ended=core.endings.told + (core.neighbours.ended if core.neighbours else 0),
        draining=core.draining,
        others=sorted(one.name for one in core.neighbours.others.values()) if core.neighbours else [],
    )
