"""The timer's verbs: promote what is due, expire what is past its time to live."""

from __future__ import annotations

from collections import Counter

from qm.store.postgres.producing import Producing
from qm.task import State


class Timing(Producing):
    """See `qm.store.base.Verbs`."""

    def promote(self, now: float, limit: int) -> dict[str, int]:
        promoted = Counter(name for (name,) in self.connection.run("promote", (now, max(limit, 0))))
        for name, tasks in promoted.items():
            self.entry.move(name, State.SCHEDULED, State.WAITING, tasks)
        return dict(promoted)

    def expire(self, now: float, until: float, limit: int) -> int:
        limit = max(limit, 0)
        rows = self.connection.run("expired", (now, limit))
        self.remove(rows, until)
        ids: int = self.connection.run("expire_ids", (now, limit))[0][0]
        return len(rows) + ids
