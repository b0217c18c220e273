"""The questions as SQLite is asked them: row by row, as far as the answer reaches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from qm.limits import BATCH_BYTES, PREVIEW_MAX, RECORDS_MAX
from qm.store.sql.paging import Place
from qm.store.sql.reading import Reading
from qm.store.sql.rows import attempt_of, task_of
from qm.store.sqlite.connection import Connection
from qm.task import PackedAttempt, PackedTask


class SQLiteReader(Reading):
    """See `qm.store.base.Reader`."""

    connection: Connection

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Inside, all questions are answered as of one moment."""
        self.connection.execute("BEGIN")
        try:
            yield
        finally:
            self.connection.execute("COMMIT")

    def attempts(self, id: str, before: int | None = None) -> Sequence[PackedAttempt]:
        found: list[PackedAttempt] = []
        size = 0
        for row in self.connection.iterate("attempts", (id, before)):
            one = attempt_of(row)
            size += len(one.log.encode()) + len(one.error or b"")
            if found and (size > BATCH_BYTES or len(found) == RECORDS_MAX):
                break
            found.append(one)
        return found

    def _listed(self, found: Sequence[Place]) -> Iterator[tuple[Place, PackedTask]]:
        for place in found:
            yield place, task_of(self.connection.run("page", (PREVIEW_MAX, PREVIEW_MAX, place.n))[0])
