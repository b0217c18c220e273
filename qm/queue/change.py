"""cancel, requeue, forget: a producer or an operator changes tasks. One that runs can only be cancelled.

Each answers with the state every task was in before (None: no such task); a state that does not allow the
change leaves the task as it is, and is the answer.
"""

from __future__ import annotations

from collections.abc import Sequence

from qm.errors import TooLarge
from qm.limits import IDS_MAX
from qm.policy.retention import KEEP_ENDED, KEEP_ID
from qm.queue.core import Core, Effects
from qm.store.base import Transaction
from qm.store.shared import Hints
from qm.task import WAIT, Lease, State


def cancel(core: Core, ids: Sequence[str]) -> list[State | None]:
    """Ends tasks that do not run yet. Of those that run it keeps that they shall not run again, whatever
    becomes of their workers, and has them told to stop."""
    _check(ids)
    now = core.clock.now()

    def work(tx: Transaction) -> tuple[Sequence[State | None], Sequence[tuple[str, Lease]]]:
        before = tx.cancel(ids, now, KEEP_ENDED)
        running = [id_ for id_, state in zip(ids, before, strict=True) if state is State.RUNNING]
        return before, tx.cancelling(running) if running else []

    before, running = core.commit.run(work)
    for session, lease in running:
        core.sessions.cancel(session, lease)
    if core.neighbours is not None and running:
        core.neighbours.tell(Hints(cancelled=[*running]))
    effects = Effects()
    effects.ended = [id_ for id_, state in zip(ids, before, strict=True) if state in WAIT]
    core.tell(effects)
    return list(before)


def requeue(core: Core, ids: Sequence[str]) -> list[State | None]:
    """Failed tasks get another chance."""
    core.refuse_if_draining()
    _check(ids)
    effects = Effects()

    def work(tx: Transaction) -> list[State | None]:
        before = tx.requeue(ids, core.clock.now())
        failed = [id_ for id_, state in zip(ids, before, strict=True) if state is State.FAILED]
        effects.waiting.update(task.type for task in tx.get(failed) if task is not None)
        return list(before)

    before = core.commit.run(work)
    core.tell(effects)
    return before


def forget(core: Core, ids: Sequence[str]) -> list[State | None]:
    """Deletes ended tasks; their ids stay known for a day."""
    _check(ids)
    until = core.clock.now() + KEEP_ID
    return list(core.commit.run(lambda tx: tx.forget(ids, until)))


def _check(ids: Sequence[str]) -> None:
    if len(ids) > IDS_MAX:
        raise TooLarge(f"{len(ids)} ids in one call, the limit is {IDS_MAX}")
