"""The timer's verbs: promote what is due, expire what is past its time to live."""

from __future__ import annotations

from qm.store.sqlite.producing import Producing
from qm.task import State


class Timing(Producing):
    """See `qm.store.base.Verbs`."""

    def promote(self, now: float, limit: int) -> dict[str, int]:
        promoted: dict[str, int] = {}
        places = []
        for n, name in self.connection.run("due", (now, max(limit, 0))):  # negative: no limit to SQLite
            places.append((n, self.entry.number()))
            promoted[name] = promoted.get(name, 0) + 1
        self.connection.run_many("promote", places)
        for name, tasks in promoted.items():
            self.entry.move(name, State.SCHEDULED, State.WAITING, tasks)
        return promoted

    def expire(self, now: float, until: float, limit: int) -> int:
        limit = max(limit, 0)  # SQLite reads a negative limit as none
        rows = self.connection.run("expired", (now, limit))
        self.remove(rows, until)
        self.connection.run("expire_ids", (now, limit))
        return len(rows) + self.connection.db.changes()
