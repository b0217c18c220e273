"""An open transaction: all verbs on the writing connection."""

from __future__ import annotations

from collections.abc import Sequence

from qm.store.sqlite.connection import Connection
from qm.store.sqlite.ledger import Entry
from qm.store.sqlite.reading import SQLiteReader
from qm.store.sqlite.settling import Settling
from qm.store.sqlite.timing import Timing
from qm.store.sqlite.working import Working


class SQLiteTransaction(Working, Settling, Timing, SQLiteReader):
    """See `qm.store.base.Transaction`."""

    def __init__(self, connection: Connection, entry: Entry) -> None:
        SQLiteReader.__init__(self, connection, entry.counts)
        self.entry = entry

    def waiting(self, types: Sequence[str]) -> int:
        return sum(self.entry.waiting(name) for name in set(types))
