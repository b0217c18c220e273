"""The queue as a client with payload keys sees it: what goes out is sealed, what comes in is opened.

It stands before the proxy: nothing above it knows of keys, and there is no way around it.
What cannot be opened stays sealed or becomes a refusal: `qm.payload.unpack` raises for it.
"""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Final, TypeVar

from msgspec.structs import replace

from qm.errors import BadRequest
from qm.limits import LOG_MAX
from qm.messages import (
    NOTE_MAX,
    SEALED_NOTE_MAX,
    Added,
    AddStatus,
    Claim,
    Crash,
    Details,
    Exchanged,
    Fail,
    Finish,
    Got,
    ListQuery,
    NewTask,
    PackedPage,
    Progress,
    Release,
    Retry,
    Settlement,
    Taken,
    Verdict,
)
from qm.payload import pack_failure, refuse, token_of, unpack_failure
from qm.sealing import Keyring, Place, Purpose
from qm.task import Failure, Lease, PackedAttempt, PackedTask, State
from qm.wire.verbs import QueueVerbs

S = TypeVar("S", bound=Settlement)

_NOT_SEALED: Final = "NotSealed"


def seal_new(keyring: Keyring, task: NewTask, key: int = 0) -> NewTask:
    """The task with its input sealed by the newest key, and the digest that `key` gives it, 0 the newest."""
    sealed = keyring.seal(Place(Purpose.INPUT, task.id, task.type), task.input)
    return replace(task, input=sealed, digest=keyring.digest(key, task.type, task.id, task.input))


class SealedQueue:
    """`QueueVerbs` over another, with payloads sealed."""

    def __init__(self, queue: QueueVerbs, keyring: Keyring) -> None:
        self._queue = queue
        self._keyring = keyring
        self.status = queue.status
        self.cancel = queue.cancel
        self.requeue = queue.requeue
        self.forget = queue.forget
        self.attach = queue.attach
        self.renew = queue.renew
        self.detach = queue.detach
        self.release = queue.release

    # A producer's verbs.

    def add(self, tasks: Sequence[NewTask]) -> Added:
        """An id that is there already is compared under each key: it may be from before a rotation."""
        sealed = [seal_new(self._keyring, task) for task in tasks]
        added = self._queue.add(sealed)
        for older in range(1, self._keyring.size):
            again = [n for n, status in enumerate(added.statuses) if status is AddStatus.CONFLICT]
            if not again:
                break
            told = self._queue.add([replace(sealed[n], digest=self._digest(tasks[n], older)) for n in again])
            for n, status in zip(again, told.statuses, strict=True):
                added.statuses[n] = status
        return added

    def get(self, ids: Sequence[str], wait: float = 0) -> Got:
        got = self._queue.get(ids, wait)
        return Got([self._opened(task, whole=True) for task in got.tasks], got.missing, got.rest)

    def list(self, query: ListQuery) -> PackedPage:
        page = self._queue.list(query)
        return PackedPage([self._opened(task, whole=False) for task in page.tasks], page.next)

    def attempts(self, id: str, before: int | None = None) -> Sequence[PackedAttempt]:
        return [self._opened_attempt(id, attempt) for attempt in self._queue.attempts(id, before)]

    # A worker's verbs.

    def take(self, claim: Claim, wait: float = 0) -> Sequence[Taken]:
        return self._opened_inputs(self._queue.take(claim, wait))

    def exchange(self, claim: Claim, settlements: Sequence[Settlement], wait: float = 0) -> Exchanged:
        answer = self._queue.exchange(claim, self._settled(settlements), wait)
        return Exchanged(answer.verdicts, self._opened_inputs(answer.tasks))

    def finish(self, items: Sequence[Finish]) -> Sequence[Verdict]:
        return self._queue.finish(self._settled(items))

    def fail(self, items: Sequence[Fail]) -> Sequence[Verdict]:
        return self._queue.fail(self._settled(items))

    def retry(self, items: Sequence[Retry]) -> Sequence[Verdict]:
        return self._queue.retry(self._settled(items))

    def progress(self, items: Sequence[Progress]) -> Sequence[Verdict]:
        return self._queue.progress([self._noted(item) for item in items])

    def crashed(self, crash: Crash) -> None:
        lease = crash.current
        if lease is not None:
            error, details = self._error(lease, crash.error), self._details(lease, crash.details)
            crash = replace(crash, error=error, details=details)
        else:  # no task was to blame, and nothing of it is kept
            crash = replace(crash, error=None, details=None)
        self._queue.crashed(crash)

    # On their way out.

    def _digest(self, task: NewTask, key: int) -> bytes:
        return self._keyring.digest(key, task.type, task.id, task.input)

    def _settled(self, items: Sequence[S]) -> builtins.list[S]:
        return [self._settle(item) for item in items]

    def _settle(self, item: S) -> S:
        lease = item.lease
        if isinstance(item, Release):
            return item
        if isinstance(item, Finish):
            output = self._keyring.seal(_place(Purpose.OUTPUT, lease), item.output)
            return replace(item, output=output, details=self._details(lease, item.details))
        error = self._error(lease, item.error)
        if isinstance(item, Retry):
            return replace(item, error=error)
        return replace(item, error=error, details=self._details(lease, item.details))

    def _error(self, lease: Lease, error: bytes | None) -> bytes | None:
        return self._keyring.seal(_place(Purpose.ERROR, lease), error) if error else error

    def _details(self, lease: Lease, details: Details | None) -> Details | None:
        if details is None or not details.log:
            return details
        log = self._keyring.seal_text(_place(Purpose.LOG, lease), details.log, LOG_MAX)
        return replace(details, log=log)

    def _noted(self, item: Progress) -> Progress:
        if len(item.note) > NOTE_MAX:  # the manager could not know
            raise BadRequest(f"a note has at most {NOTE_MAX} characters")
        place = _place(Purpose.NOTE, item.lease)
        return replace(item, note=self._keyring.seal_text(place, item.note, SEALED_NOTE_MAX))

    # On their way in.

    def _opened_inputs(self, tasks: Sequence[Taken]) -> builtins.list[Taken]:
        return [replace(task, input=self._input(task.id, task.type, task.input)) for task in tasks]

    def _input(self, id_: str, type_: str, packed: bytes) -> bytes:
        return self._keyring.open(Place(Purpose.INPUT, id_, type_), packed)

    def _opened(self, task: PackedTask, whole: bool) -> PackedTask:
        """A task opened. `whole`: payloads that are not there have been taken away, and were not left out."""
        lease = Lease(task.id, task.attempt, 0)
        if task.input or whole:
            task.input = self._input(task.id, task.type, task.input)
        if task.output:
            task.output = self._keyring.open(_place(Purpose.OUTPUT, lease), task.output)
        elif whole and task.state is State.DONE:
            task.output = refuse(f"the output of task {task.id} is gone")
        if task.error:
            task.error = self._opened_error(task.id, range(1, task.attempt + 1), task.error)
        if task.note:
            task.note = self._keyring.open_text(_place(Purpose.NOTE, lease), task.note)
        return task

    def _opened_attempt(self, id_: str, attempt: PackedAttempt) -> PackedAttempt:
        lease = Lease(id_, attempt.attempt, 0)
        log = self._keyring.open_text(_place(Purpose.LOG, lease), attempt.log)
        error = self._opened_error(id_, lease.attempt, attempt.error) if attempt.error else attempt.error
        return replace(attempt, log=log, error=error)

    def _opened_error(self, id_: str, attempt: int | range, packed: bytes) -> bytes:
        """Errors are for people's eyes: one that is not sealed, of a worker without keys that says just that,
        is shown and says so."""
        opened = self._keyring.open(Place(Purpose.ERROR, id_, attempt), packed)
        if opened == packed or token_of(packed) is not None:
            return opened
        plain = unpack_failure(packed)
        return pack_failure(Failure(_NOT_SEALED, f"anyone could have written this: {plain}", plain.traceback))


def _place(purpose: Purpose, lease: Lease) -> Place:
    return Place(purpose, lease.id, lease.attempt)
