"""An open transaction: all verbs on the writing connection."""

from __future__ import annotations

from collections.abc import Sequence

from qm.store.postgres.connection import Connection
from qm.store.postgres.ledger import Entry
from qm.store.postgres.reading import PostgresReader
from qm.store.postgres.timing import Timing
from qm.store.postgres.working import Working
from qm.store.sql.settling import Settling


class PostgresTransaction(Working, Settling, Timing, PostgresReader):
    """See `qm.store.base.Transaction`."""

    connection: Connection
    entry: Entry

    def __init__(self, connection: Connection, entry: Entry, manager: int, rivals: bool = True) -> None:
        PostgresReader.__init__(self, connection, entry.counts)
        self.entry = entry
        self.manager = manager
        self.rivals = rivals

    def waiting(self, types: Sequence[str]) -> int:
        return sum(self.entry.waiting(name) for name in set(types))
