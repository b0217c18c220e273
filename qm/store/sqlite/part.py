"""What the verbs of a transaction have in common."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from qm.errors import NotCommitted
from qm.store.sql.part import Part as SQLPart
from qm.store.sqlite.connection import Connection
from qm.store.sqlite.ledger import Entry


class Part(SQLPart):
    """A group of verbs: the connection they run on, and the entry they note their moves in."""

    connection: Connection
    entry: Entry

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """See `qm.store.base.Transaction`."""
        if not self.connection.db.in_transaction:  # a part before this one met a full disk; see below
            raise NotCommitted("the transaction was undone", hint="try again")
        mark = self.entry.mark()
        self.connection.execute("SAVEPOINT part")
        try:
            yield
        except BaseException:
            if self.connection.db.in_transaction:  # a full disk rolls back the whole transaction by itself
                self.connection.execute("ROLLBACK TO part")
                self.connection.execute("RELEASE part")
            self.entry.reset(mark)
            raise
        self.connection.execute("RELEASE part")
