"""get: a producer reads tasks, and may wait for their end. Reading never destroys anything."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing, nullcontext

from qm.errors import TooLarge
from qm.limits import BATCH_BYTES, IDS_MAX, WAIT_MAX
from qm.messages import Got
from qm.queue.core import Core
from qm.queue.waiter import Caller
from qm.task import ENDED


def get(core: Core, ids: Sequence[str], wait: float, caller: Caller | None = None) -> Got:
    """The tasks with these ids; with `wait` (seconds) blocks until all of those that it gives have ended.

    Registers before it looks, so that an end in between is not missed. Waits neither for unknown ids nor for
    those in `rest`, which may have ended long ago.
    """
    if len(ids) > IDS_MAX:
        raise TooLarge(f"{len(ids)} ids in one call, the limit is {IDS_MAX}")
    if not wait > 0:  # also where it is not a number
        return _read(core, ids)
    watch = core.endings.watch(ids)
    if core.neighbours is not None:
        core.neighbours.want()
    try:
        got = _read(core, ids)
        pending = [task.id for task in got.tasks if task.state not in ENDED]
        if pending:
            # asked after it registered: a drain that begins only now wakes it
            if core.endings.settle_for(watch, pending) and not core.draining:
                with caller.watched(watch.waiter) if caller else nullcontext():
                    watch.waiter.sleep(min(wait, WAIT_MAX))
            got = _read(core, ids)
        return got
    finally:
        core.endings.leave(watch, ids)


def _read(core: Core, ids: Sequence[str]) -> Got:
    """As many of the tasks as one frame carries, at least one; what is left is named in `rest`."""
    got = Got([], [], [])
    size = 0
    with closing(core.store.get(ids)) as found:
        for place, (id_, task) in enumerate(zip(ids, found, strict=False)):
            if task is None:
                got.missing.append(id_)
                continue
            size += task.input_size + task.output_size + len(task.error or b"")
            if got.tasks and size > BATCH_BYTES:
                got.rest.extend(ids[place:])
                break
            got.tasks.append(task)
    return got
