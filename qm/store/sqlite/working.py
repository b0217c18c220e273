"""The workers' verbs: take and progress, and the sessions they hold tasks by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from qm.checks import check_worker
from qm.errors import WrongState
from qm.limits import BATCH_BYTES
from qm.messages import Progress, Slot, Taken, Verdict, WorkerInfo
from qm.store.sql.part import Row
from qm.store.sqlite.ledger import random_token
from qm.store.sqlite.part import Part
from qm.task import Lease, State


class Working(Part):
    """See `qm.store.base.Verbs`."""

    def take(self, slot: Slot, types: Sequence[str], limit: int, now: float, timeout: float) -> list[Taken]:
        wanted = [name for name in dict.fromkeys(types) if self.entry.waiting(name)]
        if not wanted or limit < 1:
            return []
        taken: list[Taken] = []
        leased, size, alone = [], 0, False
        for n, id_, attempt, name, data, failures, own, added, priority, deaths in self._heads(wanted, limit):
            size += len(data)
            if taken and (alone or deaths or size > BATCH_BYTES):
                break
            alone = deaths > 0
            lease = Lease(id_, attempt + 1, random_token())
            seconds = own or self.entry.timeout(name) or timeout
            taken.append(Taken(lease, name, data, failures, seconds, added, priority))
            leased.append((n, lease.token))
            self.entry.move(name, State.WAITING, State.RUNNING)
        worker = self.entry.worker(slot.session)
        self.connection.run_many("take", leased, (slot.session, slot.index, slot.incarnation, worker, now))
        return taken

    def _heads(self, types: Sequence[str], limit: int) -> Iterator[Row]:
        if len(types) == 1:  # three times as fast, and the commonest case: one type has the backlog
            return self.connection.iterate("heads", (types[0], limit))
        return self.connection.iterate_rows("heads_of_many", types, (limit,))

    def progress(self, items: Sequence[Progress]) -> list[Verdict]:
        last = {item.lease: item for item in items}
        rows = [(*msgspec.structs.astuple(i.lease), i.fraction, i.note or None) for i in last.values()]
        running = {Lease(*row) for row in self.connection.run_many("progress", rows)}
        return [Verdict.ACCEPTED if item.lease in running else Verdict.LOST for item in items]

    def attach(self, worker: WorkerInfo, now: float) -> None:
        check_worker(worker)
        self.entry.note_worker(worker)
        types = msgspec.msgpack.encode(worker.types)
        self.connection.run("attach", (worker.session, worker.host, worker.pid, worker.processes, types, now))
        self.connection.run_many(
            "attach_types",
            [(name, o.attempts, o.timeout, o.keep) for name, o in worker.types.items()],
        )

    def detach(self, session: str) -> None:
        if self.connection.run("holds_any", (session,))[0][0]:
            raise WrongState(f"session {session} still holds tasks")
        self.connection.run("detach", (session,))
        self.entry.forget_worker(session)
