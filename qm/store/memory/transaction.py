"""An open transaction: all verbs on the tables, and the way back from them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from qm.store.base import Sole
from qm.store.memory.settling import Settling


class MemoryTransaction(Settling, Sole):
    """See `qm.store.base.Transaction`. The store's lock is held as long as it is open."""

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        mark = self._tables.mark()
        try:
            yield
        except BaseException:
            self._tables.rollback(mark)
            raise
