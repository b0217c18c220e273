"""What producers, operators and the curious say: add, get, forget, cancel, requeue, status, list."""

from __future__ import annotations

import builtins
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from qm.client.ahead import Ahead
from qm.client.gather import Gatherer
from qm.client.tasks import chunks, new_task, unpack_attempt, unpack_task
from qm.errors import IdConflict, NotFound, TaskCancelled, TaskFailed, TimedOut, WrongState
from qm.limits import IDS_MAX, WAIT_MAX
from qm.messages import Added, AddStatus, Got, ListQuery, NewTask, Page, Status
from qm.payload import Unopened
from qm.task import ENDED, WAIT, Attempt, PackedAttempt, PackedTask, State, Task
from qm.wire.verbs import QueueVerbs

_log = logging.getLogger(__name__)
T = TypeVar("T")


class Producing:
    """The producers' half of `Client`."""

    _queue: QueueVerbs
    _unserved: set[str]
    _gatherer: Gatherer

    def _patiently(self, once: Callable[[], T]) -> T:
        raise TypeError("Client brings it")

    def add(self, type: str, input: Any = None, **options: Any) -> str:
        """Adds a task and gives its id; when this returns, the task is safe. `options` as `new_task`. Adds of
        several threads at the same time travel together.

        Raises `IdConflict` where the id belongs to another task, and what `new_task` raises.
        """
        task = new_task(type, input, **options)
        if self._gatherer.add(task) is AddStatus.CONFLICT:
            raise conflict([task.id])
        return task.id

    def add_many(self, tasks: Iterable[NewTask], on_added: Callable[[int], None] | None = None) -> list[str]:
        """Adds tasks made by `new_task`, in frames of bounded size, and gives their ids in order.

        Safe task by task, not as a whole: after an error say it again, what is there already stays single.
        `on_added` is told how many were added by each frame. Raises `IdConflict` after the other tasks of its
        frame were added.
        """
        ids: list[str] = []
        frames = chunks(tasks, lambda task: len(task.input))
        with Ahead(self._add_frame) as ahead:
            for chunk, added in ahead.answers(frames):
                statuses = zip(chunk, added.statuses, strict=True)
                if conflicts := [task.id for task, status in statuses if status is AddStatus.CONFLICT]:
                    raise conflict(conflicts)
                ids.extend(task.id for task in chunk)
                if on_added is not None:
                    on_added(len(chunk))
        return ids

    def _add_frame(self, tasks: Sequence[NewTask]) -> Added:
        added = self._patiently(lambda: self._queue.add(tasks))
        self._hint(added.unserved)
        return added

    def get(self, id: str, wait: float = 0) -> Task:
        """The task as it stands; with `wait`, blocks up to so many seconds until it has ended.

        Reading never destroys anything. Raises `NotFound`.
        """
        found = self.get_many([id], wait)
        if not found:
            raise _no_task(id)
        return found[0]

    def get_many(self, ids: Sequence[str], wait: float = 0) -> list[Task]:
        """The tasks with these ids, in order, those that do not exist left out; with `wait`, blocks until all
        of them have ended or so many seconds are over."""
        deadline = time.monotonic() + wait
        found: dict[str, PackedTask] = {}
        for start in range(0, len(ids), IDS_MAX):
            pending: Sequence[str] = list(dict.fromkeys(ids[start : start + IDS_MAX]))
            while pending:
                pending = self._get_some(pending, found, deadline)
        return [unpack_task(found[id_]) for id_ in ids if id_ in found]

    def result(self, id: str, wait: float = 0) -> Any:
        """The output of a task, waiting up to `wait` seconds for its end.

        Raises `TaskFailed`, `TaskCancelled`, `TimedOut` where it has not ended, `NotFound`, and `Sealed` or
        `BadPayload` for an output that cannot be opened here.
        """
        task = self.get(id, wait)
        if task.state is State.DONE:
            if isinstance(task.output, Unopened):
                raise task.output.error()
            return task.output
        if task.state is State.FAILED:
            raise TaskFailed(f"task {id} failed: {task.error or task.reason}", task.error)
        if task.state is State.CANCELLED:
            raise TaskCancelled(f"task {id} was cancelled")
        raise TimedOut(f"task {id} is still {task.state.value}")

    def forget(self, id: str) -> None:
        """Deletes an ended task; one that is gone already is fine. Its id stays known for a day.

        Raises `WrongState` for a task that has not ended.
        """
        state = self.forget_many([id])[0]
        if state is not None and state not in ENDED:
            raise WrongState(f"task {id} is {state.value}; only ended tasks can be forgotten")

    def forget_many(self, ids: Sequence[str]) -> Sequence[State | None]:
        """Deletes those of the tasks that have ended. Gives the state each was in, None for an unknown id."""
        return self._change(self._queue.forget, ids)

    def cancel(self, id: str) -> State:
        """Cancels a task: one that waits at once, and one that runs as soon as its worker has stopped it; it
        will not run again, whatever becomes of the worker. One that is cancelled already is fine.

        Gives the state it is in now: cancelled, or running. Raises `WrongState` for a task that has ended,
        `NotFound`.
        """
        state = self.cancel_many([id])[0]
        if state is None:
            raise _no_task(id)
        if state in (State.DONE, State.FAILED):
            raise WrongState(f"task {id} is {state.value}; a task that has ended cannot be cancelled")
        return State.RUNNING if state is State.RUNNING else State.CANCELLED

    def cancel_many(self, ids: Sequence[str]) -> Sequence[State | None]:
        """Cancels those of the tasks that wait or run, as `cancel`. Gives the state each was in, None for an
        unknown id."""
        return self._change(self._queue.cancel, ids)

    def requeue(self, id: str) -> None:
        """Gives a failed task another chance, with fresh counters; one that waits already is fine.

        Raises `WrongState`, `NotFound`.
        """
        state = self.requeue_many([id])[0]
        if state is None:
            raise _no_task(id)
        if state is not State.FAILED and state not in WAIT:
            raise WrongState(f"task {id} is {state.value}; only failed tasks can be requeued")

    def requeue_many(self, ids: Sequence[str]) -> Sequence[State | None]:
        """Requeues those of the tasks that failed. Gives the state each was in, None for an unknown id."""
        return self._change(self._queue.requeue, ids)

    def attempts(self, id: str) -> builtins.list[Attempt]:
        """The attempts of a task that have ended, oldest first. Raises `NotFound`."""
        found: builtins.list[PackedAttempt] = []
        before: int | None = None
        while some := self._patiently(lambda before=before: self._queue.attempts(id, before)):  # type: ignore[misc]
            found += some
            before = some[-1].attempt
        if not found:
            self.get(id)
        return [unpack_attempt(attempt) for attempt in reversed(found)]

    def status(self) -> Status:
        """Counts, connected workers, and types that nobody serves."""
        return self._patiently(self._queue.status)

    def list(
        self,
        states: Sequence[State] = tuple(State),
        type: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page:
        """A page of tasks; ended ones newest first, others in the order in which they would run. Payloads
        over 4 KiB are left out. `cursor` is the last page's `next`."""
        query = ListQuery(states=tuple(states), type=type, limit=limit, cursor=cursor)
        page = self._patiently(lambda: self._queue.list(query))
        return Page([unpack_task(task) for task in page.tasks], page.next)

    def _get_some(self, ids: Sequence[str], found: dict[str, PackedTask], deadline: float) -> Sequence[str]:
        """One call's worth of a get. Gives the ids to ask for again."""

        def once() -> Got:
            left = deadline - time.monotonic()  # read at each try: a manager that was away took its part
            return self._queue.get(ids, max(0.0, min(left, WAIT_MAX)))

        got = self._patiently(once)
        found.update({task.id: task for task in got.tasks})
        for id_ in got.missing:  # forgotten since an earlier look
            found.pop(id_, None)
        if time.monotonic() >= deadline:
            return got.rest
        return [*(task.id for task in got.tasks if task.state not in ENDED), *got.rest]

    def _change(
        self, verb: Callable[[Sequence[str]], Sequence[State | None]], ids: Sequence[str]
    ) -> Sequence[State | None]:
        before: builtins.list[State | None] = []
        for start in range(0, len(ids), IDS_MAX):
            some = ids[start : start + IDS_MAX]
            before.extend(self._patiently(lambda some=some: verb(some)))  # type: ignore[misc]
        return before

    def _hint(self, unserved: Iterable[str]) -> None:
        """Says once for each type that nobody is there to run it: the commonest surprise of a first day."""
        for name in unserved:
            if name not in self._unserved:
                self._unserved.add(name)
                _log.warning(
                    'no worker serves "%s" now; start one with: qmworker (--load MODULE if it is yours)',
                    name,
                )


def conflict(ids: Sequence[str]) -> IdConflict:
    """The error for ids that belong to other tasks."""
    more = f" (and {len(ids) - 1} more)" if len(ids) > 1 else ""
    hint = "choose another id, or leave it out"
    return IdConflict(f"id {ids[0]!r} belongs to a task with another type or input{more}", hint)


def _no_task(id_: str) -> NotFound:
    hint = "it may have been forgotten, or its time to live is over"
    return NotFound(f"there is no task {id_[:80]!r}", hint=hint)
