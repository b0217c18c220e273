"""What the programs' exit codes mean."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from qm.errors import (
    AuthFailed,
    BadRequest,
    DiskFull,
    Draining,
    NotAllowed,
    NotCommitted,
    NotFound,
    OperationError,
    QueueError,
    StoreBusy,
    StoreError,
    StoreForeign,
    StoreTooNew,
    StoreTooOld,
    TaskError,
    TimedOut,
    Unreachable,
)


class Exit(IntEnum):
    """The exit codes of all programs."""

    OK = 0
    FAILED = 1
    #: The command line or a setting is wrong.
    USAGE = 2
    NOT_FOUND = 3
    NOT_AUTHORISED = 4
    #: The command went well, the task did not: it failed or was cancelled.
    TASK_FAILED = 5
    #: The task has not ended, or the time given ran out.
    NOT_FINISHED = 6
    UNREACHABLE = 7
    #: The store is damaged, another program's, or a newer qmanager's.
    STORE_CORRUPT = 65
    STORE_FAILED = 70
    #: Ctrl-C; of qmanager and qmworker the second one, which does not wait.
    INTERRUPTED = 130
    #: A second SIGTERM.
    TERMINATED = 143


#: The code of each error; what is not here has that of the nearest class above it.
CODES: Final[dict[type[BaseException], Exit]] = {
    QueueError: Exit.FAILED,
    BadRequest: Exit.USAGE,
    NotAllowed: Exit.NOT_AUTHORISED,
    AuthFailed: Exit.NOT_AUTHORISED,
    NotFound: Exit.NOT_FOUND,
    TaskError: Exit.TASK_FAILED,
    TimedOut: Exit.NOT_FINISHED,
    Unreachable: Exit.UNREACHABLE,
    Draining: Exit.UNREACHABLE,
    StoreError: Exit.STORE_FAILED,
    NotCommitted: Exit.STORE_FAILED,
    DiskFull: Exit.STORE_FAILED,
    StoreBusy: Exit.FAILED,
    StoreForeign: Exit.STORE_CORRUPT,
    StoreTooNew: Exit.STORE_CORRUPT,
    StoreTooOld: Exit.FAILED,
    OperationError: Exit.USAGE,
    KeyboardInterrupt: Exit.INTERRUPTED,
}


def code_of(error: BaseException) -> Exit:
    """The exit code for an error that ends a program."""
    return next((CODES[kind] for kind in type(error).__mro__ if kind in CODES), Exit.FAILED)
