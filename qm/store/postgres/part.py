"""What the verbs of a transaction have in common."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from qm.errors import NotCommitted
from qm.store.postgres.connection import Connection
from qm.store.postgres.ledger import Entry
from qm.store.sql.part import Part as SQLPart


class Part(SQLPart):
    """A group of verbs: the connection they run on, and the entry they note their moves in."""

    connection: Connection
    entry: Entry

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """See `qm.store.base.Transaction`."""
        if not self.connection.good:  # something before this part failed, and undid the whole
            raise NotCommitted("the transaction was undone", hint="try again")
        mark = self.entry.mark()
        self.connection.execute("SAVEPOINT part")
        try:
            yield
        except BaseException:
            self.entry.reset(mark)
            if self.connection.in_transaction:  # else the connection is lost, and all of it undone
                self.connection.execute("ROLLBACK TO part; RELEASE part")
            raise
        self.connection.execute("RELEASE part")
