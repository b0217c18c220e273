"""Values that no queue or no store takes, said in words before anything is written.

An SQL schema repeats these rules, so that a row edited by hand cannot lie; but its refusals come in the
middle of a batch and speak of columns.
"""

from __future__ import annotations

import math
from typing import Final

from qm.errors import BadRequest, TooLarge
from qm.limits import ATTEMPTS_MAX, DELAY_MAX, PAYLOAD_MAX, PRIORITY_MAX, PRIORITY_MIN
from qm.messages import NewTask, TypeOptions, WorkerInfo
from qm.payload import fits_sealed
from qm.task import is_id, is_type

#: Characters of an id or a type.
_NAME_MAX: Final = 64

#: Characters of a host's name: as many as DNS allows, and Linux a machine less.
_HOST_MAX: Final = 253


def check_added(task: NewTask) -> None:
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


def check_new(task: NewTask) -> None:
    """Raises `BadRequest` where a store cannot keep `task`."""
    _check_name("id", task.id)
    _check_name("type", task.type)
    if not PRIORITY_MIN <= task.priority <= PRIORITY_MAX:
        raise BadRequest(f"priority {task.priority} is not between {PRIORITY_MIN} and {PRIORITY_MAX}")
    _check_options(f"task {task.id}", task)


def check_worker(worker: WorkerInfo) -> None:
    """Raises `BadRequest` where a store cannot keep the worker's name, or the options of its types."""
    if not 1 <= len(worker.host) <= _HOST_MAX or not worker.host.isprintable():
        raise BadRequest(f"{worker.host[:80]!r} is no host: it has 1 to {_HOST_MAX} characters to be shown")
    for name, options in worker.types.items():
        _check_name("type", name)
        _check_options(f"type {name}", options)


def _check_name(what: str, text: str) -> None:
    if not 1 <= len(text) <= _NAME_MAX:
        raise BadRequest(f"the {what} {text[:80]!r} does not have 1 to {_NAME_MAX} characters")


def _check_options(whose: str, options: NewTask | TypeOptions) -> None:
    if options.attempts is not None and options.attempts < 1:
        raise BadRequest(f"{whose}: attempts is {options.attempts}, a task needs at least 1")
    if options.timeout is not None and not options.timeout > 0:
        raise BadRequest(f"{whose}: timeout is {options.timeout} seconds, it must be above 0")
    if options.keep is not None and not options.keep >= 0:
        raise BadRequest(f"{whose}: keep is {options.keep} seconds, it cannot be below 0")
