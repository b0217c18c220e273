"""The producers' verb add."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from qm.checks import check_new
from qm.errors import NotCommitted
from qm.messages import AddStatus, NewTask
from qm.store.postgres.part import Part
from qm.store.sql.changing import Changing
from qm.store.sql.part import NEAR_MAX, Row
from qm.task import State


class Producing(Part, Changing):
    """See `qm.store.base.Verbs`."""

    def add(self, tasks: Sequence[NewTask], now: float) -> list[AddStatus]:
        first: dict[str, NewTask] = {}
        for task in tasks:
            check_new(task)
            first.setdefault(task.id, task)
        known = self._insert(first, now)
        statuses = []
        for task in tasks:
            digest = known.get(task.id)
            if digest is None:
                known[task.id] = task.digest
                statuses.append(AddStatus.CREATED)
            else:
                same = digest == task.digest
                statuses.append(AddStatus.DUPLICATE if same else AddStatus.CONFLICT)
        return statuses

    def _insert(self, tasks: dict[str, NewTask], now: float) -> dict[str, bytes | None]:
        """Stores those whose ids are new. Gives the digests of the others."""
        rows = [_row(task, now) for task in tasks.values()]
        created = {id_ for (id_,) in self.connection.run_many("add", rows, (now,))}
        if self.rivals:
            self._refuse_forgotten(created)
        places = Counter((tasks[id_].type, _state(tasks[id_])) for id_ in created)
        for (type_, state), number in places.items():
            self.entry.move(type_, None, state, number)
        known = [(id_,) for id_ in tasks if id_ not in created]
        return dict(self.connection.run_many("known", known))

    def _refuse_forgotten(self, created: Iterable[str]) -> None:
        """A task that another manager was forgetting left its tombstone while we waited for its row to go."""
        if next(iter(self.connection.run_many("forgotten", [(id_,) for id_ in created])), None):
            raise NotCommitted("a task with this id was forgotten just now", hint="try again")


def _state(task: NewTask) -> State:
    return State.SCHEDULED if task.delay > 0 else State.WAITING


def _row(task: NewTask, now: float) -> Row:
    due = now + task.delay if task.delay > 0 else None
    size = len(task.input)
    near, far = (task.input, None) if size <= NEAR_MAX else (None, task.input)
    own = (task.attempts, task.timeout, task.keep)
    return (task.id, task.type, _state(task).value, task.priority, task.digest, due, *own, size, near, far)
