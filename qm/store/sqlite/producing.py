"""The producers' verb add."""

from __future__ import annotations

from collections.abc import Sequence

from qm.checks import check_new
from qm.messages import AddStatus, NewTask
from qm.store.sql.changing import Changing
from qm.store.sql.part import NEAR_MAX
from qm.store.sqlite.part import Part
from qm.task import State


class Producing(Part, Changing):
    """See `qm.store.base.Verbs`."""

    def add(self, tasks: Sequence[NewTask], now: float) -> list[AddStatus]:
        for task in tasks:
            check_new(task)
        known: dict[str, bytes] = dict(self.connection.run_many("known", [(task.id,) for task in tasks]))
        statuses, fresh = [], []
        for task in tasks:
            digest = known.get(task.id)
            if digest is None:
                known[task.id] = task.digest
                fresh.append(task)
                statuses.append(AddStatus.CREATED)
            else:
                same = digest == task.digest
                statuses.append(AddStatus.DUPLICATE if same else AddStatus.CONFLICT)
        self._insert(fresh, now)
        return statuses

    def _insert(self, tasks: Sequence[NewTask], now: float) -> None:
        rows, inputs = [], []
        for task in tasks:
            n = self.entry.number()
            state = State.SCHEDULED if task.delay > 0 else State.WAITING
            due = now + task.delay if task.delay > 0 else None
            own = (task.attempts, task.timeout, task.keep)
            place = (state.value, task.priority, n)
            size = len(task.input)
            near = task.input if size <= NEAR_MAX else None
            rows.append((n, task.id, task.type, *place, task.digest, now, due, *own, size, near))
            if near is None:
                inputs.append((n, task.input))
            self.entry.move(task.type, None, state)
        self.connection.run_many("add", rows)
        if inputs:
            self.connection.run_many("add_input", inputs)
