"""attach, renew, detach, crashed: the pools and what becomes of their tasks when they go."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import nullcontext

from qm.errors import BadRequest
from qm.limits import SESSION_TERM, WAIT_MAX
from qm.messages import Attached, Crash, Orders, WorkerInfo
from qm.policy.decision import Back, Bury
from qm.policy.retention import KEEP_FAILED
from qm.policy.strikes import after_death, cause_of
from qm.queue.core import Core, Effects
from qm.queue.waiter import Caller, Waiter
from qm.store.base import Held, Recovery, Transaction
from qm.task import Outcome, is_id, is_type

_log = logging.getLogger(__name__)


def attach(core: Core, info: WorkerInfo) -> Attached:
    """Opens a session, or re-opens it after a lost connection or a restart of the manager."""
    core.refuse_if_draining()
    if not is_id(info.session):
        raise BadRequest(f"{info.session[:80]!r} cannot be a session")
    for name in info.types:
        if not is_type(name):
            raise BadRequest(f"{name[:80]!r} cannot be a type")
    now, monotonic = core.clock.now(), core.clock.monotonic()

    def work(tx: Transaction) -> bool:
        tx.attach(info, now)
        # in here, so that an end of the same session comes wholly before or wholly after
        return core.sessions.open(info, now, monotonic)

    if core.commit.run(work):
        _log.info("worker %s attached: %d processes, %d types", info.name, info.processes, len(info.types))
    core.told_unserved.difference_update(info.types)
    core.nudge_timer()
    return Attached(SESSION_TERM)


def renew(core: Core, session: str, wait: float, draining: bool, caller: Caller | None = None) -> Orders:
    """Keeps a session alive, and waits for orders for a third of its term at most. Writes nothing."""
    waiter = Waiter()
    core.sessions.renew(session, core.clock.monotonic(), draining, waiter)
    if wait > 0 and not draining and not core.draining:
        with caller.watched(waiter) if caller else nullcontext():
            waiter.sleep(min(wait, WAIT_MAX, SESSION_TERM / 3))
    return Orders()


def detach(core: Core, session: str) -> None:
    """A pool says good-bye: what it still holds was not started, and goes back uncounted."""
    core.sessions.end(session)
    tasks = _take_back(core, session, Outcome.RELEASED, None)
    _log.info("session %s detached, %d tasks given back", session, tasks)


def crashed(core: Core, crash: Crash) -> None:
    """A child died: the task it ran is charged, its others go back uncounted. Safe to say twice."""
    core.sessions.bury(crash.slot)  # first: a call of it that is under way must not take after this
    effects = Effects()
    cause = cause_of(crash.exitcode)

    def work(tx: Transaction) -> None:
        held = tx.held(crash.slot)
        current = [h for h in held if h.lease == crash.current]
        recover(tx, held, current, Outcome.CRASHED, cause, core.clock.now(), effects)

    core.commit.run(work)
    task = crash.current.id if crash.current else "none"
    _log.warning("a child of session %s died (%s), task %s", crash.slot.session, cause, task)
    core.tell(effects)


def end_silent(core: Core) -> None:
    """Ends the sessions whose term is over; what they ran is charged as lost."""
    for session in core.sessions.end_overdue(core.clock.monotonic()):
        tasks = _take_back(core, session, Outcome.LOST, "its worker fell silent")
        _log.warning("session %s fell silent, %d tasks go to others", session, tasks)


def _take_back(core: Core, session: str, outcome: Outcome, cause: str | None) -> int:
    """Takes back what an ended session holds, and forgets it. Gives how many tasks it held."""
    effects = Effects()

    def work(tx: Transaction) -> int:
        if core.sessions.is_open(session):  # attached again meanwhile: it keeps its tasks
            return 0
        held = tx.held(session=session)
        recover(tx, held, held if outcome is Outcome.LOST else (), outcome, cause, core.clock.now(), effects)
        tx.detach(session)
        return len(held)

    tasks = core.commit.run(work)
    core.sessions.remove(session)
    core.tell(effects)
    return tasks


def recover(
    tx: Transaction,
    held: Iterable[Held],
    charged: Iterable[Held],
    outcome: Outcome,
    cause: str | None,
    now: float,
    effects: Effects,
) -> None:
    """Takes running tasks back: those in `charged` get a strike of the kind `outcome`, others none."""
    strikes = {held.lease for held in charged}
    recoveries = []
    for row in held:
        decision: Back | Bury = Back()
        if row.lease in strikes:
            crashes = row.crashes + (outcome is Outcome.CRASHED)
            lost = row.lost + (outcome is Outcome.LOST)
            decision = after_death(crashes, lost, outcome, cause or "")
        kind = outcome if row.lease in strikes else Outcome.RELEASED
        recoveries.append(Recovery(lease=row.lease, outcome=kind, decision=decision, cause=cause))
        if isinstance(decision, Bury):
            effects.ended.append(row.lease.id)
            _log.warning("task %s is parked: %s", row.lease.id, decision.reason)
        else:
            effects.waiting[row.type] += 1
    tx.recover(recoveries, now, KEEP_FAILED)
