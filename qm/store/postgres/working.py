"""The workers' verbs: take and progress, and the sessions they hold tasks by."""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence

import msgspec

from qm.errors import WrongState
from qm.limits import BATCH_BYTES
from qm.messages import Progress, Slot, Taken, Verdict, WorkerInfo
from qm.store.checks import check_worker
from qm.store.postgres.part import Part
from qm.task import Lease, State


class Working(Part):
    """See `qm.store.base.Verbs`."""

    def take(self, slot: Slot, types: Sequence[str], limit: int, now: float, timeout: float) -> list[Taken]:
        # Several managers: the counts are a second old, so a type without waiting tasks must be asked for
        # too; and where others have locked the heads, the next ones must be looked at before the caller is
        # parked.
        wanted = [name for name in dict.fromkeys(types) if self.entry.waiting(name)]
        if not wanted or limit < 1:
            return []
        who = (slot.session, slot.index, slot.incarnation)
        rows = self.connection.run("take", (wanted, _tokens(limit), limit, BATCH_BYTES, *who, now, timeout))
        taken = []
        for id_, attempt, token, name, data, failures, seconds, added, priority in rows:
            taken.append(Taken(Lease(id_, attempt, token), name, data, failures, seconds, added, priority))
            self.entry.move(name, State.WAITING, State.RUNNING)
        return taken

    def progress(self, items: Sequence[Progress]) -> list[Verdict]:
        last = {item.lease: item for item in items}
        rows = [(*msgspec.structs.astuple(i.lease), i.fraction, i.note or None) for i in last.values()]
        running = {Lease(*row) for row in self.connection.run_many("progress", rows)}
        return [Verdict.ACCEPTED if item.lease in running else Verdict.LOST for item in items]

    def attach(self, worker: WorkerInfo, now: float) -> None:
        check_worker(worker)
        types = msgspec.msgpack.encode(worker.types)
        self.connection.run("attach", (worker.session, worker.host, worker.pid, worker.processes, types, now))
        options = [(name, o.attempts, o.timeout, o.keep) for name, o in worker.types.items()]
        self.connection.run_many("attach_types", options)

    def detach(self, session: str) -> None:
        if self.connection.run("holds_any", (session,))[0][0]:
            raise WrongState(f"session {session} still holds tasks")
        self.connection.run("detach", (session,))


def _tokens(number: int) -> Sequence[int]:
    """So many times 64 random bits, as signed integers."""
    return struct.unpack(f"{number}q", os.urandom(8 * number))
