"""An open transaction: all verbs on the writing connection."""

from __future__ import annotations

from collections.abc import Sequence

from qm.messages import AddStatus, NewTask
from qm.store.base import Sole
from qm.store.sql.settling import Settling
from qm.store.sqlite.connection import Connection
from qm.store.sqlite.ledger import Entry
from qm.store.sqlite.reading import SQLiteReader
from qm.store.sqlite.reserve import Reserve
from qm.store.sqlite.timing import Timing
from qm.store.sqlite.working import Working


class SQLiteTransaction(Working, Settling, Timing, SQLiteReader, Sole):
    """See `qm.store.base.Transaction`."""

    connection: Connection
    entry: Entry

    def __init__(self, connection: Connection, entry: Entry, reserve: Reserve) -> None:
        SQLiteReader.__init__(self, connection, entry.counts)
        self.entry = entry
        self._reserve = reserve

    def add(self, tasks: Sequence[NewTask], now: float) -> list[AddStatus]:
        if self._reserve.spent:
            self._refuse_new(tasks)
        return super().add(tasks, now)

    def _refuse_new(self, tasks: Sequence[NewTask]) -> None:
        """What is stored already is no new task, and may be said again on a full disk."""
        ids = {task.id for task in tasks}
        if len(self.connection.run_many("known", [(id_,) for id_ in ids])) < len(ids):
            self._reserve.check()

    def waiting(self, types: Sequence[str]) -> int:
        return sum(self.entry.waiting(name) for name in set(types))
