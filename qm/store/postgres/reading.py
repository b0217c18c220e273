"""The questions as PostgreSQL is asked them: a statement for many rows, measured before it is sent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from qm.limits import BATCH_BYTES, PREVIEW_MAX, RECORDS_MAX
from qm.store.sql.paging import Place
from qm.store.sql.reading import Reading
from qm.store.sql.rows import attempt_of, task_of
from qm.task import PackedAttempt, PackedTask

#: Tasks of a list read by one statement, once it has begun with a few: errors of a megabyte each at the
#: worst.
_LIST_CHUNK: Final = 64


class PostgresReader(Reading):
    """See `qm.store.base.Reader`."""

    def attempts(self, id: str, before: int | None = None) -> Sequence[PackedAttempt]:
        rows = self.connection.run("attempts", (id, before, BATCH_BYTES, RECORDS_MAX))
        return [attempt_of(row) for row in rows]

    def _listed(self, found: Sequence[Place]) -> Iterator[tuple[Place, PackedTask]]:
        start, size = 0, 4
        while start < len(found):
            some = found[start : start + size]
            rows = self.connection.run("page", ([place.n for place in some], PREVIEW_MAX))
            tasks = {row[0]: task_of(row) for row in rows}
            yield from ((place, tasks[place.n]) for place in some if place.n in tasks)
            start += size
            size = min(4 * size, _LIST_CHUNK)
