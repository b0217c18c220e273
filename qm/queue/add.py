"""add: tasks come in."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Final

from qm.errors import BadRequest, TooLarge
from qm.limits import ATTEMPTS_MAX, DELAY_MAX, IDS_MAX, PAYLOAD_MAX
from qm.messages import Added, AddStatus, NewTask
from qm.payload import fits_sealed
from qm.queue.core import Core, Effects
from qm.task import is_id, is_type

_log = logging.getLogger(__name__)

#: Types whose hint is remembered: a producer that makes up types must not fill our memory, nor the log.
_TOLD_MAX: Final = 1000


def add(core: Core, tasks: Sequence[NewTask]) -> Added:
    """Stores tasks; when this returns they are safe. Raises `BadRequest`, and then nothing was stored."""
    core.refuse_if_draining()
    if len(tasks) > IDS_MAX:
        raise TooLarge(f"{len(tasks)} tasks in one call, the limit is {IDS_MAX}")
    for task in tasks:
        check(task)
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


def check(task: NewTask) -> None:
    """Raises `BadRequest` (or `TooLarge`) for a task that no store should see; stores check the rest."""
    if not is_id(task.id):
        raise BadRequest(f"{task.id[:80]!r} cannot be an id: 1 to 64 characters of A-Z a-z 0-9 . _ : -")
    if not is_type(task.type):
        raise BadRequest(
            f"{task.type[:80]!r} cannot be a type: 1 to 64 characters of A-Z a-z 0-9 . _ : - "
            "and the first of them a letter, a digit or _"
        )
    if len(task.input) > PAYLOAD_MAX and not fits_sealed(task.input):
        raise TooLarge(f"the input of {task.id} has {len(task.input):,} bytes, the limit is {PAYLOAD_MAX:,}")
    if len(task.digest) != 16:
        raise BadRequest(f"the digest of {task.id} must have 16 bytes")
    if not 0 <= task.delay <= DELAY_MAX:
        raise BadRequest(f"a delay of {task.delay:g} s is not between 0 and {DELAY_MAX:g}")
    if task.attempts is not None and task.attempts > ATTEMPTS_MAX:
        raise BadRequest(f"{task.attempts} attempts is over {ATTEMPTS_MAX}")
    if math.inf in (task.timeout, task.keep):
        raise BadRequest(f"task {task.id}: a time without end is not possible")
