"""The producers' verb add."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from qm.messages import AddStatus, NewTask
from qm.store.checks import check_new
from qm.store.postgres.part import Part
from qm.store.sql.changing import Changing
from qm.store.sql.part import NEAR_MAX, Row
from qm.task import State


class Producing(Part, Changing):
    """See `qm.store.base.Verbs`."""

    def add(self, tasks: Sequence[NewTask], now: float) -> list[AddStatus]:
        for task in tasks:
            check_new(task)
        known = self._known(task.id for task in tasks)
        first: dict[str, NewTask] = {}
        for task in tasks:
            if task.id not in known:
                first.setdefault(task.id, task)
        created = self._insert(first, now)
        if len(created) < len(first):  # another manager added some meanwhile, and has committed
            known.update(self._known(first.keys() - created))
        statuses = []
        for task in tasks:
            if task.id in created and task is first[task.id]:
                created.remove(task.id)  # the same object further down this batch is a repetition
                statuses.append(AddStatus.CREATED)
                known[task.id] = task.digest
            else:
                same = known[task.id] == task.digest
                statuses.append(AddStatus.DUPLICATE if same else AddStatus.CONFLICT)
        return statuses

    def _known(self, ids: Iterable[str]) -> dict[str, bytes]:
        """The digests of ids that are taken."""
        return dict(self.connection.run_many("known", [(id_,) for id_ in ids]))

    def _insert(self, tasks: dict[str, NewTask], now: float) -> set[str]:
        """Gives the ids that are new."""
        rows = [_row(task, now) for task in tasks.values()]
        created = {id_ for (id_,) in self.connection.run_many("add", rows, (now,))}
        for id_ in created:
            task = tasks[id_]
            self.entry.move(task.type, None, _state(task))
        return created


def _state(task: NewTask) -> State:
    return State.SCHEDULED if task.delay > 0 else State.WAITING


def _row(task: NewTask, now: float) -> Row:
    due = now + task.delay if task.delay > 0 else None
    size = len(task.input)
    near, far = (task.input, None) if size <= NEAR_MAX else (None, task.input)
    own = (task.attempts, task.timeout, task.keep)
    return (task.id, task.type, _state(task).value, task.priority, task.digest, due, *own, size, near, far)
