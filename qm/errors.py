"""Every error a user can meet, as one tree. Each has a stable `code`, the same on the wire and in REST.

QueueError
  ├── Unreachable        no manager answers at that address
  ├── AuthFailed         the manager refused the key (or is not the one we know)
  ├── TimedOut           the time the caller gave ran out
  ├── BadRequest         the call itself is wrong; the same call can never succeed
  │     ├── BadPayload       a value that msgpack cannot carry, or that is not what it should be
  │     │     └── Sealed           a value that no key here opens
  │     ├── TooLarge         over a bound of qm.limits
  │     └── NotAllowed       no such object or verb, or not for this caller
  ├── NotFound           no task has that id
  ├── WrongState         the task's state does not allow it
  ├── IdConflict         the id is taken by a task with other content
  ├── LeaseLost          the task is no longer this worker's: drop the result
  ├── SessionLost        the manager does not know the session: attach again
  ├── Draining           the manager is stopping; a resend reaches the next one
  ├── NotCommitted       the store did not commit; nothing was changed, a resend is safe
  ├── DiskFull           there is no space for a new task
  ├── StoreError         the store cannot be used
  │     ├── StoreBusy        another manager has it
  │     ├── StoreForeign     not a store of ours
  │     │     └── StoreDamaged     a store of ours, and it does not hold what it should
  │     ├── StoreTooNew      written by a newer qmanager
  │     └── StoreTooOld      made by an older qmanager, and not migrated yet
  ├── Internal           a bug in the manager; its log has the details under the id in the text
  └── TaskError          a task's own end, raised by `Client.result`
        ├── TaskFailed       the task failed; `.failure` has type, message and traceback
        └── TaskCancelled    the task was cancelled
OperationError           what goes wrong between a pool and the operations it loads
  ├── LoadError          a module does not import, or holds no operations
  └── DuplicateType      the same type was registered twice
NonRetryable             raised by an operation: this input can never succeed, do not try again
Interrupted              raised inside an operation that must stop; a BaseException, as KeyboardInterrupt is
  ├── TimeLimitExceeded    the attempt is over its time limit
  └── Cancelled            somebody cancelled the task
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from qm.task import Failure

__all__ = [
    "AuthFailed",
    "BadPayload",
    "BadRequest",
    "Cancelled",
    "DiskFull",
    "Draining",
    "DuplicateType",
    "IdConflict",
    "Internal",
    "Interrupted",
    "LeaseLost",
    "LoadError",
    "NonRetryable",
    "NotAllowed",
    "NotCommitted",
    "NotFound",
    "OperationError",
    "QueueError",
    "Sealed",
    "SessionLost",
    "StoreBusy",
    "StoreDamaged",
    "StoreError",
    "StoreForeign",
    "StoreTooNew",
    "StoreTooOld",
    "TaskCancelled",
    "TaskError",
    "TaskFailed",
    "TimeLimitExceeded",
    "TimedOut",
    "TooLarge",
    "Unreachable",
    "WrongState",
    "by_code",
]


class QueueError(Exception):
    """The base of what the queue says. `str()` is for people; `hint` is what to do, where we know it."""

    code: ClassVar[str] = "error"

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint: str | None = None
        if hint:
            self.advise(hint)

    def advise(self, hint: str) -> None:
        """Says what to do; shown below the error in a traceback, too."""
        self.hint = hint
        self.add_note(f"hint: {hint}")


class Unreachable(QueueError):
    """No manager answers at that address."""

    code = "unreachable"

    #: What the network said of it, without the address; "" where there is more to say than that.
    why: str = ""


class AuthFailed(QueueError):
    """The manager refused the key, or could not prove that it knows it."""

    code = "auth_failed"


class TimedOut(QueueError):
    """The time the caller gave ran out. The call may still have been carried out."""

    code = "timed_out"


class BadRequest(QueueError, ValueError):
    """The call itself is wrong; the same call can never succeed."""

    code = "bad_request"


class BadPayload(BadRequest):
    """A value that msgpack cannot carry: a cycle, a lone surrogate, an object of unknown type. Or one that
    came back and is not what it should be: no msgpack of ours, or sealed for another place."""

    code = "bad_payload"


class Sealed(BadPayload):
    """The value is sealed, and no key here opens it. A program that has the key can read it."""

    code = "sealed"


class TooLarge(BadRequest):
    """Over a bound of `qm.limits`."""

    code = "too_large"


class NotAllowed(BadRequest):
    """No such object or verb, or not for this caller."""

    code = "not_allowed"


class NotFound(QueueError, LookupError):
    """No task has that id: never added, forgotten, or past its time to live."""

    code = "not_found"


class WrongState(QueueError):
    """The task's state does not allow it; the text names the state."""

    code = "wrong_state"


class IdConflict(QueueError):
    """The id is taken by a task with another type or input."""

    code = "id_conflict"


class LeaseLost(QueueError):
    """The task is no longer this worker's. The worker drops the result; it is not an error of the task."""

    code = "lease_lost"


class SessionLost(QueueError):
    """The manager does not know the session, or it has ended: attach again."""

    code = "session_lost"


class Draining(QueueError):
    """The manager is stopping and takes nothing new; a resend reaches the next one."""

    code = "draining"


class NotCommitted(QueueError):
    """The store did not commit: nothing was changed. Or its disk failed while it did, and only a restart can
    tell. A resend is safe either way."""

    code = "not_committed"


class DiskFull(QueueError):
    """There is no space for a new task. Nothing was changed; a resend is safe, and helps once there is space.
    A client does not try again by itself: a full disk seldom is none a second later."""

    code = "disk_full"


class StoreError(QueueError):
    """The store cannot be used."""

    code = "store_error"


class StoreBusy(StoreError):
    """Another manager has the store."""

    code = "store_busy"


class StoreForeign(StoreError):
    """The file is not a store of ours, or is damaged."""

    code = "store_foreign"


class StoreDamaged(StoreForeign):
    """The file is a store of ours, and does not hold what it should."""

    code = "store_damaged"


class StoreTooNew(StoreError):
    """The store was written by a newer qmanager than this one."""

    code = "store_too_new"


class StoreTooOld(StoreError):
    """The store was made by an older qmanager, and this one was told not to migrate it."""

    code = "store_too_old"


class Internal(QueueError):
    """A bug in the manager. The text carries an id under which the manager's log has the details."""

    code = "internal"


class TaskError(QueueError):
    """A task ended without a result."""

    code = "task_error"


class TaskFailed(TaskError):
    """The task failed: `failure` has the error's type, message and traceback as the worker saw them."""

    code = "task_failed"

    def __init__(self, message: str, failure: Failure | None = None) -> None:
        super().__init__(message)
        self.failure = failure


class TaskCancelled(TaskError):
    """The task was cancelled before it had a result."""

    code = "task_cancelled"


class OperationError(Exception):
    """What goes wrong between a pool and the operations it loads."""


class LoadError(OperationError):
    """A module with operations does not import, or holds none."""


class DuplicateType(OperationError, ValueError):
    """The same type was registered twice."""


class NonRetryable(Exception):
    """Raised by an operation: this input can never succeed, so the task fails at once.

    >>> from qm import NonRetryable
    >>> raise NonRetryable("division by zero")
    Traceback (most recent call last):
    qm.errors.NonRetryable: division by zero
    """


class Interrupted(BaseException):
    """Raised inside an operation that must stop, wherever it is just then: clean up and let it pass.

    It is raised again and again while the operation goes on; after some seconds of grace the process is
    killed.
    """


class TimeLimitExceeded(Interrupted):
    """The attempt is over its time limit. It counts as a failure."""


class Cancelled(Interrupted):
    """Somebody cancelled the task while it ran. It will not run again."""


def _tree(base: type[QueueError]) -> dict[str, type[QueueError]]:
    found = {base.code: base}
    for child in base.__subclasses__():
        found |= _tree(child)
    return found


def by_code(code: str, message: str, hint: str | None = None) -> QueueError:
    """The error that `code` names on the wire; `QueueError` itself for a code of a newer manager."""
    kind = _tree(QueueError).get(code, QueueError)
    error = kind(message)
    if hint:
        error.advise(hint)
    return error
