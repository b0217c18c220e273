"""take and exchange: tasks go to a worker.

A call first notes itself (its number fences off late copies of earlier calls), parks where it would be woken,
and only then looks: nothing that is added in between is missed. Settlements commit at once; only the taking
waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

from qm.errors import SessionLost
from qm.limits import TAKE_MAX, WAIT_MAX
from qm.messages import Claim, Exchanged, Settlement, Taken, Verdict
from qm.policy.retention import TIMEOUT
from qm.queue.core import Core, Effects
from qm.queue.session import recover
from qm.queue.sessions import SlotState
from qm.queue.settle import settle
from qm.queue.waiter import Caller
from qm.queue.wake import Parked
from qm.store.base import Transaction
from qm.task import Outcome


def take(core: Core, claim: Claim, wait: float, caller: Caller | None = None) -> list[Taken]:
    """Leases tasks to a slot; waits up to `wait` seconds for the first. Raises `SessionLost`."""
    return exchange(core, claim, (), wait, caller).tasks


def exchange(
    core: Core, claim: Claim, settlements: Sequence[Settlement], wait: float, caller: Caller | None = None
) -> Exchanged:
    """Settles outcomes and takes more. Raises `SessionLost`; then nothing was settled either."""
    waits = wait > 0 and claim.limit > 0 and len(claim.types) > 0
    parked = Parked(claim.types) if waits else None
    slot = core.sessions.enter(claim, parked)
    if slot is None:
        return Exchanged([Verdict.LOST] * len(settlements), [])
    if parked is None:
        return _once(core, claim, slot, settlements)
    core.takers.park(parked)
    if core.neighbours is not None:
        core.neighbours.want()
    try:
        answer = _once(core, claim, slot, settlements)
        tasks = answer.tasks or _wait(core, claim, slot, parked, min(wait, WAIT_MAX), caller)
        return Exchanged(answer.verdicts, tasks)
    finally:
        core.takers.leave(parked)


def _once(core: Core, claim: Claim, slot: SlotState, settlements: Sequence[Settlement]) -> Exchanged:
    """One commit: the settlements, what the slot lost on the way, and what it gets."""
    if not settlements and _is_idle(core, claim, slot):
        return Exchanged([], [])
    effects = Effects()
    now = core.clock.now()

    def work(tx: Transaction) -> Exchanged:
        verdicts = settle(core, tx, settlements, now, effects)
        # asked in here, where one call works at a time: a call that a later one of its slot has overtaken
        # neither takes, nor gives back what the later one got
        if not core.sessions.is_latest(claim):
            return Exchanged(verdicts, [])
        _give_back(tx, claim, slot, settlements, now, effects)
        slot.given = None  # unknown until the commit has held
        limit = _share(core, tx, claim) if _may_take(core, claim) else 0
        tasks = tx.take(claim.slot, claim.types, limit, now, TIMEOUT) if limit > 0 else []
        return Exchanged(verdicts, list(tasks))

    answer = core.commit.run(work, sync=bool(settlements))
    core.sessions.note_given(claim, slot, {*claim.holding, *(task.lease for task in answer.tasks)})
    core.tell(effects)
    return answer


def _is_idle(core: Core, claim: Claim, slot: SlotState) -> bool:
    """Whether there is nothing to give or to take back. A task that is added while we look wakes us: it is
    counted before its wake is told, and we are parked."""
    knows = slot.given is not None and slot.given <= {*claim.holding}
    return knows and not core.store.waiting(claim.types)


def _share(core: Core, tx: Transaction, claim: Claim) -> int:
    """How many tasks a call gets: one that shares, never so many that others would go without."""
    if not claim.share or claim.limit <= 1:
        return min(claim.limit, TAKE_MAX)
    share = -(-tx.waiting(claim.types) // core.sessions.processes(claim.types))
    return min(claim.limit, max(share, 1), TAKE_MAX)


def _give_back(
    tx: Transaction,
    claim: Claim,
    slot: SlotState,
    settlements: Sequence[Settlement],
    now: float,
    effects: Effects,
) -> None:
    """What we have for the slot beyond what it holds was lost with a reply: it was never started."""
    named = {*claim.holding, *(settlement.lease for settlement in settlements)}
    if slot.given is not None and slot.given <= named:
        return
    if not tx.serves(claim.slot.session):
        raise SessionLost(f"session {claim.slot.session} is served by another manager", hint="attach again")
    lost = [held for held in tx.held(claim.slot) if held.lease not in named]
    recover(tx, lost, (), Outcome.RELEASED, None, now, effects)


def _wait(
    core: Core, claim: Claim, slot: SlotState, parked: Parked, seconds: float, caller: Caller | None
) -> list[Taken]:
    """Sleeps until a fitting task comes, the time is over, or nobody is there to take it any more."""
    deadline = core.clock.monotonic() + seconds
    with caller.watched(parked.waiter) if caller else nullcontext():
        # asked before each sleep: what forbids it only from now on wakes it
        while _may_take(core, claim) and parked.waiter.sleep(deadline - core.clock.monotonic()):
            if parked.waiter.gone or not _may_take(core, claim):
                break
            if tasks := _look_again(core, claim, slot, parked):
                return tasks
    return []


def _look_again(core: Core, claim: Claim, slot: SlotState, parked: Parked) -> list[Taken]:
    """Looks after a wake, and passes the wake on if it could not use it."""
    woken_for = core.takers.park(parked)
    used = False
    try:
        tasks = _once(core, claim, slot, ()).tasks
        used = woken_for in {task.type for task in tasks} if tasks else _may_take(core, claim)
        return tasks
    finally:
        if not used:
            core.takers.pass_on(woken_for)


def _may_take(core: Core, claim: Claim) -> bool:
    """Whether a call should still get tasks. Once it should not, it never should again."""
    return not core.draining and core.sessions.may_take(claim)
