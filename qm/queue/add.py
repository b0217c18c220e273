"""add: tasks come in."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from qm.checks import check_added
from qm.errors import TooLarge
from qm.limits import IDS_MAX
from qm.messages import Added, AddStatus, NewTask
from qm.queue.core import Core, Effects

_log = logging.getLogger(__name__)

#: Types whose hint is remembered: a producer that makes up types must not fill our memory, nor the log.
_TOLD_MAX: Final = 1000


def add(core: Core, tasks: Sequence[NewTask]) -> Added:
    """Stores tasks; when this returns they are safe. Raises `BadRequest`, and then nothing was stored."""
    core.refuse_if_draining()
    if len(tasks) > IDS_MAX:
        raise TooLarge(f"{len(tasks)} tasks in one call, the limit is {IDS_MAX}")
    for task in tasks:
        check_added(task)
    now = core.clock.now()
    statuses = core.commit.run(lambda tx: tx.add(tasks, now))
    effects = Effects()
    for task, status in zip(tasks, statuses, strict=True):
        if status is AddStatus.CREATED and task.delay > 0:
            effects.scheduled(now + task.delay)
        elif status is AddStatus.CREATED:
            effects.waiting[task.type] += 1
    core.tell(effects)
    unserved = core.sessions.unserved(task.type for task in tasks)
    _hint(core, unserved)
    return Added(list(statuses), unserved)


def _hint(core: Core, unserved: Sequence[str]) -> None:
    """Says once, until a worker comes: the commonest surprise of a first day."""
    for name in unserved:
        if name not in core.told_unserved and len(core.told_unserved) < _TOLD_MAX:
            core.told_unserved.add(name)
            _log.warning("tasks of type %s are added and no worker serves it", name)
