"""The questions that are the same in every dialect."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Final

from qm.errors import BadRequest
from qm.limits import BATCH_BYTES, PAGE_MAX
from qm.messages import ListQuery, PackedPage, Page, Slot, WorkerInfo
from qm.store.base import Held
from qm.store.sql.paging import Place, places
from qm.store.sql.part import Connection
from qm.store.sql.rows import held_of, task_of, worker_of
from qm.task import Lease, PackedTask, State

#: Tasks that a get reads by one statement, once it has begun with one: two megabytes each at the worst, read
#: before the caller can say that it has enough.
_GET_CHUNK: Final = 32


class Reading:
    """See `qm.store.base.Reader`. Which dialect it is, its subclass knows."""

    connection: Connection

    def __init__(self, connection: Connection, counts: Callable[[], dict[str, dict[State, int]]]) -> None:
        self.connection = connection
        self._counts = counts

    def get(self, ids: Sequence[str]) -> Generator[PackedTask | None, None, None]:
        start, size = 0, 1
        while start < len(ids):
            some = ids[start : start + size]
            rows = self.connection.run_many("get", [(id_,) for id_ in dict.fromkeys(some)])
            found = {row[1]: row for row in rows}
            for id_ in some:
                row = found.get(id_)
                yield task_of(row) if row is not None else None
            start += size
            size = min(4 * size, _GET_CHUNK)

    def list(self, query: ListQuery) -> PackedPage:
        limit = min(max(query.limit, 1), PAGE_MAX)
        types = [query.type] if query.type else list(self.counts())
        tasks: list[PackedTask] = []
        size, cursor = 0, None
        found = [*places(self.connection, query, types, limit + 1)]  # one more tells whether there is more
        for place, task in self._listed(found[:limit]):
            size += len(task.input) + len(task.output or b"") + len(task.error or b"")
            if tasks and size > BATCH_BYTES:
                return Page(tasks, cursor)
            tasks.append(task)
            cursor = place.cursor()
        return Page(tasks, cursor if len(found) > limit else None)

    def counts(self) -> dict[str, dict[State, int]]:
        return self._counts()

    def held(self, slot: Slot | None = None, *, session: str | None = None) -> Sequence[Held]:
        if slot is not None:
            rows = self.connection.run("held", (slot.session, slot.index, slot.incarnation))
        elif session is not None:
            rows = self.connection.run("held_by_session", (session,))
        else:
            raise BadRequest("held wants a slot or a session")
        return [held_of(row) for row in rows]

    def leased(self, leases: Sequence[Lease]) -> Sequence[Held | None]:
        given = [(lease.id, lease.attempt, lease.token) for lease in dict.fromkeys(leases)]
        found = {held.lease: held for held in map(held_of, self.connection.run_many("leased", given))}
        return [found.get(lease) for lease in leases]

    def cancelling(self, ids: Sequence[str] | None = None) -> Sequence[tuple[str, Lease]]:
        if ids is None:
            rows = self.connection.run("cancelling")
        else:
            rows = self.connection.run_many("cancelling_of", [(id_,) for id_ in dict.fromkeys(ids)])
        return [(session, Lease(id_, attempt, token)) for session, id_, attempt, token in rows]

    def sessions(self) -> Sequence[WorkerInfo]:
        return [worker_of(row) for row in self.connection.run("sessions")]

    def next_due(self) -> float | None:
        return self._single("next_due")

    def next_expiry(self) -> float | None:
        return self._single("next_expiry")

    def _single(self, name: str) -> float | None:
        found: float | None = self.connection.run(name)[0][0]
        return found

    def _listed(self, found: Sequence[Place]) -> Iterator[tuple[Place, PackedTask]]:
        """The tasks at these places, read as they are asked for."""
        raise TypeError(f"{type(self).__name__} must bring _listed()")
