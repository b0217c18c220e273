"""qmanager: a task queue that needs nothing but Python.

    add ──► wake ──► take ──► execute ──► finish ──► get

    your code            qmanager                         qmworker
    ─────────            ────────                         ────────
    Client.add ────────► queue.add ─► store
                         queue.wake ─────────────────────► Client.exchange (waiting)
                         queue.take ─► store ────────────► child: Operations.run
                         queue.settle ─► store ◄────────── Client.exchange (result, and more please)
    Client.get ◄──────── queue.get  ─► store

`add` returns when the task is safely stored; a resend never makes a second one. A worker holds a task under a
lease; only the current lease's result counts. When a worker dies, its tasks go to others.

Where to read on: `qm.task` (the model), `qm.queue` (the steps), `qm.policy` (the decisions), `qm.store` (the
keeping), `qm.wire` (the bytes), `qm.worker` (the pool).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

from qm.version import __version__

if TYPE_CHECKING:
    from qm import postgres as postgres
    from qm.client import Client, new_task
    from qm.errors import (
        Cancelled,
        Interrupted,
        NonRetryable,
        NotFound,
        QueueError,
        Sealed,
        TaskCancelled,
        TaskFailed,
        TimedOut,
        TimeLimitExceeded,
        Unreachable,
    )
    from qm.operations import Operations
    from qm.payload import Unopened, pack, unpack
    from qm.task import Attempt, Counts, Failure, Lease, State, Task
    from qm.worker import Worker

__all__ = [
    "Attempt",
    "Cancelled",
    "Client",
    "Counts",
    "Failure",
    "Interrupted",
    "Lease",
    "NonRetryable",
    "NotFound",
    "Operations",
    "QueueError",
    "Sealed",
    "State",
    "Task",
    "TaskCancelled",
    "TaskFailed",
    "TimeLimitExceeded",
    "TimedOut",
    "Unopened",
    "Unreachable",
    "Worker",
    "__version__",
    "new_task",
    "pack",
    "unpack",
]

#: Where each public name lives. Loaded when it is asked for: `qmclient --version` needs no socket, and a
#: producer no pool.
_HOMES: Final = {
    "qm.client": ("Client", "new_task"),
    "qm.errors": (
        *("Cancelled", "Interrupted", "NonRetryable", "NotFound", "QueueError", "Sealed", "TaskCancelled"),
        *("TaskFailed", "TimeLimitExceeded", "TimedOut", "Unreachable"),
    ),
    "qm.operations": ("Operations",),
    "qm.payload": ("Unopened", "pack", "unpack"),
    "qm.task": ("Attempt", "Counts", "Failure", "Lease", "State", "Task"),
    "qm.worker": ("Worker",),
}


def __getattr__(name: str) -> object:
    if name == "postgres":  # a module: qm.postgres.add without another import
        return importlib.import_module("qm.postgres")
    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(module), name)
    raise AttributeError(f"module 'qm' has no attribute {name!r}")
