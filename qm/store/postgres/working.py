"""The workers' verbs: take and progress, and the sessions they hold tasks by."""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence

import msgspec

from qm.errors import SessionLost, WrongState
from qm.limits import BATCH_BYTES
from qm.messages import Progress, Slot, Taken, Verdict, WorkerInfo
from qm.store.checks import check_worker
from qm.store.postgres.part import Part
from qm.store.sql.part import Row
from qm.task import Lease, State


class Working(Part):
    """See `qm.store.base.Verbs`."""

    def take(self, slot: Slot, types: Sequence[str], limit: int, now: float, timeout: float) -> list[Taken]:
        wanted = [name for name in dict.fromkeys(types) if self.entry.waiting(name) > 0]
        if not wanted or limit < 1:
            return []
        who = (slot.session, slot.index, slot.incarnation, now, timeout, self.manager)
        taken = self._take("take", wanted, limit, who)
        if self.rivals:  # what they have locked, or took just now, may hide what lies behind
            for name in wanted:
                if not taken and self.entry.waiting(name) > 0:
                    taken = self._take("take_past", name, limit, who)
        return taken

    def _take(self, query: str, types: Sequence[str] | str, limit: int, who: Row) -> list[Taken]:
        rows = self.connection.run(query, (types, _tokens(limit), limit, BATCH_BYTES, *who))
        if not rows:
            raise SessionLost(f"session {who[0]} is served by another manager", hint="attach again")
        taken: list[Taken] = []
        if rows[0][0] is None:
            return taken
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
        who = (worker.session, worker.host, worker.pid, worker.processes)
        self.connection.run("attach", (*who, types, now, self.manager))
        options = [(name, o.attempts, o.timeout, o.keep) for name, o in worker.types.items()]
        self.connection.run_many("attach_types", options)

    def serves(self, session: str, *, claim: bool = False) -> bool:
        return bool(self.connection.run("claim" if claim else "serves", (session, self.manager)))

    def detach(self, session: str) -> None:
        if self.connection.run("holds_any", (session,))[0][0]:
            raise WrongState(f"session {session} still holds tasks")
        self.connection.run("detach", (session,))


def _tokens(number: int) -> Sequence[int]:
    """So many times 64 random bits, as signed integers."""
    return struct.unpack(f"{number}q", os.urandom(8 * number))
