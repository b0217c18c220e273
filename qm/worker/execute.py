"""One attempt: from a taken task to its settlement. Whatever user code does, there is one."""

from __future__ import annotations

import traceback
from types import TracebackType

from qm.errors import BadPayload, NonRetryable
from qm.messages import Fail, Finish, Settlement, Taken
from qm.operations import Operations
from qm.payload import pack, pack_failure, unopened, unpack
from qm.task import Failure, State, Task
from qm.worker.interrupt import enter


def execute(operations: Operations, taken: Taken) -> Settlement:
    """Runs the task's operation. Its output is the result; its exception is the failure.

    BaseExceptions too (a `sys.exit` in user code): they end the attempt, not the child.
    """
    try:
        task = Task(
            id=taken.id,
            type=taken.type,
            input=unpack(taken.input),
            state=State.RUNNING,
            priority=taken.priority,
            attempt=taken.lease.attempt,
            failures=taken.failures,
            added=taken.added,
            timeout=taken.timeout,
        )
        output = enter(operations.run, task)
    except BaseException as error:
        final = isinstance(error, (NonRetryable, BadPayload))
        return failed(taken, error, retryable=not final or was_shut(taken))
    try:
        return Finish(taken.lease, pack(output))
    except BaseException as error:  # the same code will give the same output again
        return failed(taken, error, retryable=False)


def was_shut(taken: Taken) -> bool:
    """Whether the task was not run, as its input cannot be opened here. Another worker may have its key."""
    return unopened(taken.input) is not None


def failed(taken: Taken, error: BaseException, retryable: bool) -> Fail:
    """The settlement of an attempt that ended with `error`."""
    return Fail(taken.lease, pack_failure(describe(error)), retryable)


def describe(error: BaseException) -> Failure:
    """An exception in words. A broken `__str__` is described too, never raised."""
    try:
        message = str(error)
        text = "".join(traceback.format_exception(type(error), error, _user_frames(error.__traceback__)))
    except BaseException as broken:
        message, text = f"its text cannot be shown: {type(broken).__name__}", ""
    return Failure(type(error).__qualname__, message, text)


def _user_frames(trace: TracebackType | None) -> TracebackType | None:
    """The traceback without our own frames at its head, and that of an interrupt at its end: people look for
    theirs."""
    while trace is not None and trace.tb_frame.f_globals.get("__name__", "").startswith(
        ("qm.worker.", "qm.payload", "qm.operations.registry", "qm.operations.binding")
    ):
        trace = trace.tb_next
    inner = trace
    while inner is not None and inner.tb_next is not None:
        if inner.tb_next.tb_frame.f_globals.get("__name__") == "qm.worker.interrupt":
            inner.tb_next = None
        inner = inner.tb_next
    return trace
