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
    #: Which manager we are, and whether there are others.
    manager: int
    rivals: bool

    #: How many savepoints are open within one another, and whether a good one lies unreleased in there: that
    #: is said with the next, or not at all, since a commit releases them too.
    _depth = 0
    _unreleased = False

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """See `qm.store.base.Transaction`."""
        if not self.connection.good:  # something before this part failed, and undid the whole
            raise NotCommitted("the transaction was undone", hint="try again")
        name = f"part_{self._depth}"
        mark = self.entry.mark()
        release = (f"RELEASE {name}",) if self._unreleased else ()
        self.connection.execute(*release, f"SAVEPOINT {name}")
        self._depth, self._unreleased = self._depth + 1, False
        try:
            yield
            self.connection.check()
        except BaseException:
            self.entry.reset(mark)
            if self.connection.in_transaction:  # else the connection is lost, and all of it undone
                self.connection.roll_back(name)
            raise
        finally:
            self._depth, self._unreleased = self._depth - 1, True
