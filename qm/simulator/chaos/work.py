"""What the workers of a chaos run execute, as `qmworker --load qm.simulator.chaos.work`.

The output is another at every run of a task, so that a result tells which run it came from. Each run is
written down before its first and after its last deed, by the process that runs it: so this log knows what was
computed, whoever is killed next. What the manager answers to the result is written down by the proxy, through
which it comes: no hook in the worker is needed, and an answer that is then lost on the way is in the log all
the same.
"""

from __future__ import annotations

import os
import secrets
import time
from functools import cache
from pathlib import Path
from typing import Any, Final

from qm.clock import SystemClock
from qm.errors import NonRetryable
from qm.operations import Operations
from qm.simulator.chaos.digest import digest
from qm.simulator.chaos.journal import Computed, Journal, Raised, Started
from qm.task import Task

#: The type of all tasks of a run.
TYPE: Final = "chaos"

#: The environment variable with the folder of the journals.
FOLDER: Final = "QM_CHAOS_JOURNALS"


@cache
def _journal() -> Journal:
    """This process's log, opened at its first task."""
    return Journal(Path(os.environ[FOLDER]), "worker")


class Work:
    """Takes as long as the input says, and returns something new."""

    def __init__(self) -> None:
        self._clock = SystemClock()

    def call(self, task: Task) -> Any:
        """`task.input`: `sleep` and `spin` in seconds, `size` of the output in characters, `fails`."""
        journal = _journal()
        journal.write(Started(task.id, task.attempt))
        wanted = task.input
        time.sleep(wanted.get("sleep", 0))
        until = self._clock.monotonic() + wanted.get("spin", 0)
        while self._clock.monotonic() < until:
            pass
        if wanted.get("fails"):
            journal.write(Raised(task.id, task.attempt))
            raise NonRetryable("as its producer wants")
        output = f"{task.id} {task.attempt} {secrets.token_hex(8)} {'x' * wanted.get('size', 0)}"
        journal.write(Computed(task.id, task.attempt, digest(output)))
        return output


ops = Operations().register(Work(), TYPE)
