"""The questions: what can be asked of the file without changing it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import msgspec

from qm.errors import BadRequest
from qm.limits import BATCH_BYTES, PAGE_MAX, PREVIEW_MAX
from qm.messages import ListQuery, PackedPage, Page, Slot, TypeOptions, WorkerInfo
from qm.store.base import Held
from qm.store.sqlite.connection import Connection, Row
from qm.store.sqlite.paging import Place, places
from qm.task import Attempt, Lease, Outcome, PackedAttempt, PackedTask, State, Task

#: Tasks that a get reads by one statement, once it has begun with one: two megabytes each at the worst, read
#: before the caller can say that it has enough.
_GET_CHUNK: Final = 32

_types_decoder = msgspec.msgpack.Decoder(dict[str, TypeOptions])


class SQLiteReader:
    """See `qm.store.base.Reader`."""

    def __init__(self, connection: Connection, counts: Callable[[], dict[str, dict[State, int]]]) -> None:
        self.connection = connection
        self._counts = counts

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Inside, all questions are answered as of one moment."""
        self.connection.execute("BEGIN")
        try:
            yield
        finally:
            self.connection.execute("COMMIT")

    def get(self, ids: Sequence[str]) -> Generator[PackedTask | None, None, None]:
        start, size = 0, 1
        while start < len(ids):
            some = ids[start : start + size]
            rows = self.connection.run_many("get", [(id_,) for id_ in dict.fromkeys(some)])
            found = {row[1]: row for row in rows}
            for id_ in some:
                row = found.get(id_)
                yield _task(row) if row is not None else None
            start += size
            size = min(4 * size, _GET_CHUNK)

    def list(self, query: ListQuery) -> PackedPage:
        limit = min(max(query.limit, 1), PAGE_MAX)
        types = [query.type] if query.type else list(self.counts())
        tasks: list[PackedTask] = []
        size, cursor = 0, None
        for place in places(self.connection, query, types, limit + 1):  # one more tells whether there is more
            if len(tasks) == limit:
                return Page(tasks, cursor)
            task = self._listed(place)
            size += len(task.input) + len(task.output or b"") + len(task.error or b"")
            if tasks and size > BATCH_BYTES:
                return Page(tasks, cursor)
            tasks.append(task)
            cursor = place.cursor()
        return Page(tasks, None)

    def counts(self) -> dict[str, dict[State, int]]:
        return self._counts()

    def held(self, slot: Slot | None = None, *, session: str | None = None) -> Sequence[Held]:
        if slot is not None:
            rows = self.connection.run("held", (slot.session, slot.index, slot.incarnation))
        elif session is not None:
            rows = self.connection.run("held_by_session", (session,))
        else:
            raise BadRequest("held wants a slot or a session")
        return [_held(row) for row in rows]

    def leased(self, leases: Sequence[Lease]) -> Sequence[Held | None]:
        given = [(lease.id, lease.attempt, lease.token) for lease in dict.fromkeys(leases)]
        found = {held.lease: held for held in map(_held, self.connection.run_many("leased", given))}
        return [found.get(lease) for lease in leases]

    def cancelling(self, ids: Sequence[str] | None = None) -> Sequence[tuple[str, Lease]]:
        if ids is None:
            rows = self.connection.run("cancelling")
        else:
            rows = self.connection.run_many("cancelling_of", [(id_,) for id_ in dict.fromkeys(ids)])
        return [(session, Lease(id_, attempt, token)) for session, id_, attempt, token in rows]

    def attempts(self, id: str, before: int | None = None) -> Sequence[PackedAttempt]:
        found: list[PackedAttempt] = []
        size = 0
        for row in self.connection.iterate("attempts", (id, before)):
            one = _attempt(row)
            size += len(one.log) + len(one.error or b"")
            if found and size > BATCH_BYTES:
                break
            found.append(one)
        return found

    def sessions(self) -> Sequence[WorkerInfo]:
        return [
            WorkerInfo(session=s, host=host, pid=pid, processes=n, types=_types_decoder.decode(types))
            for s, host, pid, n, types in self.connection.run("sessions")
        ]

    def next_due(self) -> float | None:
        return self._single("next_due")

    def next_expiry(self) -> float | None:
        return self._single("next_expiry")

    def _single(self, name: str) -> float | None:
        found: float | None = self.connection.run(name)[0][0]
        return found

    def _listed(self, place: Place) -> PackedTask:
        rows = self.connection.run("page", (PREVIEW_MAX, PREVIEW_MAX, place.n))
        return _task(rows[0])


def _held(row: Row) -> Held:
    id_, attempt, token, name, failures, crashes, lost, attempts, started, cancelling = row
    return Held(
        lease=Lease(id_, attempt, token),
        type=name,
        failures=failures,
        crashes=crashes,
        lost=lost,
        attempts=attempts,
        started=started,
        cancelling=bool(cancelling),
    )


def _attempt(row: Row) -> PackedAttempt:
    attempt, outcome, started, ended, worker, cause, error, pid, exitcode, peak_memory, log = row
    return Attempt(
        attempt=attempt,
        outcome=Outcome(outcome),
        started=started,
        ended=ended,
        worker=worker,
        cause=cause,
        error=error,
        pid=pid,
        exitcode=exitcode,
        peak_memory=peak_memory,
        log=log,
    )


#: The columns of the queries `get` and `page`, in order, behind n.
_COLUMNS = (
    *("id", "type", "input", "state", "output", "reason", "priority", "attempt", "attempts"),
    *("failures", "crashes", "lost", "added", "due", "started", "ended", "expires", "timeout"),
    *("worker", "progress", "note", "cancelling", "input_size", "output_size", "error"),
)


def _task(row: Row) -> PackedTask:
    fields: dict[str, Any] = dict(zip(_COLUMNS, row[1:], strict=True))
    fields["state"] = State(fields["state"])
    fields["cancelling"] = bool(fields["cancelling"])
    if fields["state"] is State.DONE:
        fields["error"] = None
    return Task(**fields)
