"""The verbs of producers, operators, timers and sessions: everything but the settling of leases."""

from __future__ import annotations

import heapq
import secrets
from collections.abc import Sequence

from msgspec.structs import replace

from qm.checks import check_new, check_worker
from qm.errors import WrongState
from qm.limits import BATCH_BYTES
from qm.messages import AddStatus, NewTask, Slot, Taken, WorkerInfo
from qm.store.memory.reading import Reading
from qm.store.memory.rows import Row, Tombstone
from qm.task import ENDED, Lease, State


class Changing(Reading):
    """Verbs over tables that nobody else changes meanwhile."""

    def add(self, tasks: Sequence[NewTask], now: float) -> Sequence[AddStatus]:
        for task in tasks:
            check_new(task)
        return [self._add(task, now) for task in tasks]

    def take(
        self, slot: Slot, types: Sequence[str], limit: int, now: float, timeout: float
    ) -> Sequence[Taken]:
        lines = self._tables.lines[State.WAITING]
        heads = [(line.first(), type_) for type_ in {*types} if (line := lines.get(type_))]
        heapq.heapify(heads)
        taken: list[Taken] = []
        size, alone = 0, False
        while heads and len(taken) < limit:
            place, type_ = heads[0]
            row = self._tables.rows[place[2]]
            size += len(row.input)
            deaths = row.crashes + row.lost
            if taken and (alone or deaths or size > BATCH_BYTES):
                break
            alone = deaths > 0
            taken.append(self._take(row, slot, now, timeout))
            if line := lines.get(type_):
                heapq.heapreplace(heads, (line.first(), type_))
            else:
                heapq.heappop(heads)
        return taken

    def cancel(self, ids: Sequence[str], now: float, keep: float) -> Sequence[State | None]:
        return [self._cancel(id_, now, keep) for id_ in ids]

    def requeue(self, ids: Sequence[str], now: float) -> Sequence[State | None]:
        return [self._requeue(id_) for id_ in ids]

    def forget(self, ids: Sequence[str], until: float) -> Sequence[State | None]:
        return [self._forget(id_, until) for id_ in ids]

    def promote(self, now: float, limit: int) -> dict[str, int]:
        promoted: dict[str, int] = {}
        for due, _, id_ in self._tables.due.head(limit):
            if due > now:
                break
            row = self._tables.rows[id_]
            self._tables.put(row.waiting(self._tables.number()))
            promoted[row.type] = promoted.get(row.type, 0) + 1
        return promoted

    def expire(self, now: float, until: float, limit: int) -> int:
        over = [id_ for expires, _, id_ in self._tables.expiring.head(limit) if expires <= now]
        for id_ in over:
            self._forget(id_, until)
        faded = [id_ for end, _, id_ in self._tables.fading.head(limit) if end <= now]
        for id_ in faded:
            self._tables.exhume(self._tables.tombstones[id_])
        return len(over) + len(faded)

    def attach(self, worker: WorkerInfo, now: float) -> None:
        check_worker(worker)
        self._tables.set_worker(worker.session, worker)
        for type_, options in worker.types.items():
            self._tables.set_options(type_, options)

    def detach(self, session: str) -> None:
        if session in self._tables.held:
            raise WrongState(f"session {session} still runs tasks", hint="release or recover them first")
        self._tables.set_worker(session, None)

    def _add(self, task: NewTask, now: float) -> AddStatus:
        known = self._tables.rows.get(task.id) or self._tables.tombstones.get(task.id)
        if known is not None:
            return AddStatus.DUPLICATE if known.digest == task.digest else AddStatus.CONFLICT
        number = self._tables.number()
        row = Row(
            n=number,
            seq=number,
            id=task.id,
            type=task.type,
            input=task.input,
            digest=task.digest,
            priority=task.priority,
            added=now,
            attempts=task.attempts,
            timeout=task.timeout,
            keep=task.keep,
        )
        self._tables.put(row.scheduled(now + task.delay) if task.delay > 0 else row)
        return AddStatus.CREATED

    def _take(self, row: Row, slot: Slot, now: float, timeout: float) -> Taken:
        # 64 bits with a sign: what an SQL store can keep in an INTEGER.
        lease = Lease(row.id, row.attempt + 1, secrets.randbits(64) - 2**63)
        worker = self._tables.workers.get(slot.session)
        self._tables.put(row.running(lease, slot, worker.name if worker else None, now))
        options = self._tables.options.get(row.type)
        own = options.timeout if row.timeout is None and options else row.timeout
        return Taken(
            lease=lease,
            type=row.type,
            input=row.input,
            failures=row.failures,
            timeout=timeout if own is None else own,
            added=row.added,
            priority=row.priority,
        )

    def _cancel(self, id_: str, now: float, keep: float) -> State | None:
        row = self._tables.rows.get(id_)
        if row is None:
            return None
        if row.state in (State.BLOCKED, State.SCHEDULED, State.WAITING):
            self._tables.put(row.closed(State.CANCELLED, now, self._keep(row, keep)))
        elif row.state is State.RUNNING:
            self._tables.put(replace(row, cancelling=True))
        return row.state

    def _requeue(self, id_: str) -> State | None:
        row = self._tables.rows.get(id_)
        if row is None:
            return None
        if row.state is State.FAILED:
            self._tables.put(row.renewed(self._tables.number()))
        return row.state

    def _forget(self, id_: str, until: float) -> State | None:
        row = self._tables.rows.get(id_)
        if row is None:
            return None
        if row.state in ENDED:
            self._tables.drop(row)
            self._tables.bury(Tombstone(row.id, row.digest, until))
        return row.state

    def _keep(self, row: Row, default: float) -> float:
        options = self._tables.options.get(row.type)
        own = options.keep if row.keep is None and options else row.keep
        return default if own is None else own
