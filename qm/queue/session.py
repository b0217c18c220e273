"""attach, renew, detach, crashed: the pools and what becomes of their tasks when they go."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from contextlib import nullcontext

from qm.errors import BadRequest, NotCommitted, SessionLost
from qm.limits import PROCESSES_MAX, SESSION_TERM, SUSPECT_TERM, WAIT_MAX
from qm.messages import Attached, Crash, Details, Fail, Orders, WorkerInfo
from qm.policy.decision import Back, Bury, Cancel
from qm.policy.retention import KEEP_ENDED, KEEP_FAILED
from qm.policy.strikes import after_death, after_release, cause_of
from qm.queue.core import Core, Effects
from qm.queue.sessions import Session
from qm.queue.settle import check, fail
from qm.queue.waiter import Caller, Waiter
from qm.store.base import Held, Recovery, Transaction
from qm.store.shared import Hints
from qm.task import Lease, Outcome, is_id, is_type

_log = logging.getLogger(__name__)


def attach(core: Core, info: WorkerInfo) -> Attached:
    """Opens a session, or re-opens it after a lost connection or a restart of the manager."""
    core.refuse_if_draining()
    if not is_id(info.session):
        raise BadRequest(f"{info.session[:80]!r} cannot be a session")
    for name in info.types:
        if not is_type(name):
            raise BadRequest(f"{name[:80]!r} cannot be a type")
    if not 1 <= info.processes <= PROCESSES_MAX:
        raise BadRequest(f"a pool of {info.processes} processes cannot be: it has 1 to {PROCESSES_MAX:,}")
    now, monotonic = core.clock.now(), core.clock.monotonic()

    def work(tx: Transaction) -> Session:
        tx.attach(info, now)
        # in here, so that an end of the same session comes wholly before or wholly after
        return core.sessions.open(info, now, monotonic)

    if core.sessions.confirm(core.commit.run(work)):
        # what it holds from before may be cancelled; a cancel from now on tells the session itself
        for session_id, lease in core.store.cancelling():
            if session_id == info.session:
                core.sessions.cancel(session_id, lease)
        _log.info("worker %s attached: %d processes, %d types", info.name, info.processes, len(info.types))
    core.told_unserved.difference_update(info.types)
    _tell_moved(core)
    core.nudge_timer()
    return Attached(SESSION_TERM)


def renew(
    core: Core,
    session: str,
    wait: float,
    draining: bool,
    heard: Sequence[Lease] = (),
    caller: Caller | None = None,
) -> Orders:
    """Keeps a session alive, and waits for orders for a third of its term at most. Writes nothing.

    All orders that stand are given each time, so that none is lost with an answer; those in `heard`, which
    the pool knows already, do not end the wait.
    """
    if core.neighbours is not None and core.neighbours.is_cut_off:
        raise NotCommitted("the store cannot be reached from here", hint="try another manager")
    waiter = Waiter()
    core.sessions.renew(session, core.clock.monotonic(), draining, waiter)
    orders = _cancelled(core, session)
    if wait > 0 and not draining and not core.draining and set(orders) <= set(heard):
        with caller.watched(waiter) if caller else nullcontext():
            waiter.sleep(min(wait, WAIT_MAX, SESSION_TERM / 3))
        if waiter.gone:
            _suspect(core, session, waiter)
        orders = _cancelled(core, session)
    return Orders(cancel=orders)


def _suspect(core: Core, session: str, waiter: Waiter) -> None:
    """The connection that carried the renewal is gone: the pool was killed, unless it is back in a moment. A
    child's lost connection means nothing: its parent sees the child itself."""
    core.sessions.suspect(session, waiter, core.clock.monotonic() + SUSPECT_TERM)
    core.nudge_timer()


def _cancelled(core: Core, session: str) -> list[Lease]:
    """The session's leases that somebody cancelled and that still hold; the others are forgotten."""
    noted = core.sessions.cancelled(session)
    if not noted:
        return []
    held = [lease for lease, row in zip(noted, core.store.leased(noted), strict=True) if row is not None]
    core.sessions.forget_cancelled(session, set(noted).difference(held))
    return held


def detach(core: Core, session: str) -> None:
    """A pool says good-bye: what it still holds was not started, and goes back uncounted."""
    core.sessions.end(session)
    tasks = _take_back(core, session, Outcome.RELEASED, None, claim=True)
    _log.info("session %s detached, %d tasks given back", session, tasks)


def crashed(core: Core, crash: Crash) -> None:
    """A child died: the task it ran is charged, its others go back uncounted. Safe to say twice."""
    if crash.outcome not in (Outcome.CRASHED, Outcome.TIMEOUT, Outcome.CANCELLED):
        raise BadRequest(f"a child cannot die as {crash.outcome.value}")
    if crash.current:
        check([Fail(crash.current, crash.error or b"", details=crash.details)])
    core.sessions.bury(crash.slot)  # first: a call of it that is under way must not take after this
    effects = Effects()
    cause = cause_of(crash.exitcode)

    def work(tx: Transaction) -> None:
        if not tx.serves(crash.slot.session):  # where it is served, a call of the child may be under way
            raise SessionLost(f"session {crash.slot.session} is not served here", hint="attach again")
        held = tx.held(crash.slot)
        now = core.clock.now()
        if crash.current and crash.outcome is not Outcome.CRASHED:
            # its parent had to kill it: a failure of the task, which took no worker with it
            fail(core, tx, [_killed(crash, crash.current)], now, effects)
            held = [h for h in held if h.lease != crash.current]
        current = [h for h in held if h.lease == crash.current]
        recover(tx, held, current, Outcome.CRASHED, cause, now, effects, crash.details)

    core.commit.run(work)
    task = crash.current.id if crash.current else "none"
    _log.warning("a child of session %s died (%s), task %s", crash.slot.session, cause, task)
    core.tell(effects)


def _killed(crash: Crash, current: Lease) -> Fail:
    """The settlement of the task that a killed child ran."""
    return Fail(current, crash.error or b"", True, crash.outcome, crash.details)


def end_silent(core: Core) -> None:
    """Ends the sessions whose term is over; what they ran is charged as lost."""
    for session in core.sessions.end_overdue(core.clock.monotonic()):
        tasks = _take_back(core, session, Outcome.LOST, "its worker fell silent")
        _log.warning("session %s fell silent, %d tasks go to others", session, tasks)


def _take_back(core: Core, session: str, outcome: Outcome, cause: str | None, *, claim: bool = False) -> int:
    """Takes back what an ended session holds, and forgets it. Gives how many tasks it held. `claim`:
    whichever manager serves it."""
    effects = Effects()

    def work(tx: Transaction) -> int:
        if core.sessions.is_open(session):  # attached again meanwhile: it keeps its tasks
            return 0
        if not tx.serves(session, claim=claim):  # ... at another manager
            return 0
        held = tx.held(session=session)
        recover(tx, held, held if outcome is Outcome.LOST else (), outcome, cause, core.clock.now(), effects)
        tx.detach(session)
        return len(held)

    tasks = core.commit.run(work)
    core.sessions.remove(session)
    core.tell(effects)
    _tell_moved(core)
    return tasks


def _tell_moved(core: Core) -> None:
    if core.neighbours is not None:
        core.neighbours.tell(Hints(moved=True))


def recover(
    tx: Transaction,
    held: Iterable[Held],
    charged: Iterable[Held],
    outcome: Outcome,
    cause: str | None,
    now: float,
    effects: Effects,
    details: Details | None = None,
) -> None:
    """Takes running tasks back: those in `charged` get a strike of the kind `outcome`, and `details`; others
    none."""
    strikes = {held.lease for held in charged}
    recoveries: dict[float, list[Recovery]] = {KEEP_ENDED: [], KEEP_FAILED: []}
    for row in held:
        charge = row.lease in strikes
        decision = _after_death(row, outcome, cause) if charge else after_release(row.cancelling)
        stopped = isinstance(decision, Cancel)
        kind = outcome if charge else Outcome.CANCELLED if stopped else Outcome.RELEASED
        recovery = Recovery(
            lease=row.lease, outcome=kind, decision=decision, cause=cause, details=details if charge else None
        )
        recoveries[KEEP_ENDED if stopped else KEEP_FAILED].append(recovery)
        if isinstance(decision, Back):
            effects.waiting[row.type] += 1
        else:
            effects.ended.append(row.lease.id)
        if isinstance(decision, Bury):
            _log.warning("task %s is parked: %s", row.lease.id, decision.reason)
    for keep, some in recoveries.items():
        tx.recover(some, now, keep)


def _after_death(row: Held, outcome: Outcome, cause: str | None) -> Back | Bury | Cancel:
    crashes = row.crashes + (outcome is Outcome.CRASHED)
    lost = row.lost + (outcome is Outcome.LOST)
    return after_death(crashes, lost, outcome, cause or "", row.cancelling)
