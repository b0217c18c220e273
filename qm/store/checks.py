"""Values that no store takes, said in words before anything is written.

An SQL schema repeats these rules, so that a row edited by hand cannot lie; but its refusals come in the
middle of a batch and speak of columns.
"""

from __future__ import annotations

from typing import Final

from qm.errors import BadRequest
from qm.limits import PRIORITY_MAX, PRIORITY_MIN
from qm.messages import NewTask, TypeOptions, WorkerInfo

#: Characters of an id or a type.
_NAME_MAX: Final = 64

#: Characters of a host's name: as many as DNS allows, and Linux a machine less.
_HOST_MAX: Final = 253


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
