"""What each verb must do, said anew: plainly, over the ledger, without a look at how the queue does it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qm.errors import BadRequest, NotCommitted, QueueError, SessionLost
from qm.limits import SESSION_TERM
from qm.messages import (
    AddStatus,
    Claim,
    Crash,
    Exchanged,
    Fail,
    Got,
    NewTask,
    Orders,
    Settlement,
    Taken,
    Verdict,
    WorkerInfo,
)
from qm.task import WAIT, Lease, Outcome, State
from tests.simulation.attempts import Attempts
from tests.simulation.ledger import Record, demand


class Verbs(Attempts):
    """Applies what was said to the ledger, and compares what was answered."""

    def answered(self, verb: str, arguments: Sequence[Any], answer: Any) -> None:
        """A call has been carried out."""
        getattr(self, f"_{verb}")(*arguments, answer)

    def refused(self, verb: str, arguments: Sequence[Any], error: QueueError) -> None:
        """A call has failed. What the store refused has changed nothing that lasts, only what a manager
        remembers of sessions."""
        self._seen[type(error).__name__] += 1
        if isinstance(error, NotCommitted):
            if verb == "attach":
                self._ledger.open(arguments[0], self._clock.monotonic())
            elif verb == "exchange":
                self._enter(arguments[0])
            elif verb == "crashed":
                self._bury(arguments[0])
            elif verb == "detach":
                self._end(arguments[0])
        elif isinstance(error, SessionLost):
            session = arguments[0] if verb == "renew" else arguments[0].slot.session
            demand(not self._ledger.is_open(session), verb, "was refused, but the session is open:", session)
        elif isinstance(error, BadRequest) and verb == "exchange":
            slot = arguments[0].slot
            known = self._ledger.sessions[slot.session].slots.get(slot.index, (0, -1))
            demand(slot.incarnation < known[0], "a living child was refused:", error)
        else:
            raise error

    def _add(self, tasks: Sequence[NewTask], answer: Sequence[AddStatus]) -> None:
        now = self._clock.now()
        for task, status in zip(tasks, answer, strict=True):
            self._seen[f"add {status}"] += 1
            known = self._digest(task.id)
            if known is None:
                demand(status is AddStatus.CREATED, "a new task was answered", status)
                n = self._ledger.number()
                record = self._ledger.tasks[task.id] = Record(task, n, n)
                if task.delay > 0:
                    record.state, record.due = State.SCHEDULED, now + task.delay
            else:
                expected = AddStatus.DUPLICATE if known == task.digest else AddStatus.CONFLICT
                demand(status is expected, "a known task was answered", status, "not", expected)

    def _get(self, ids: Sequence[str], wait: float, answer: Got) -> None:
        tasks = self._ledger.tasks
        missing = [id_ for id_ in ids if id_ not in tasks]
        demand(answer.missing == missing, "missing are", missing, "not", answer.missing)

    def _cancel(self, ids: Sequence[str], answer: Sequence[State | None]) -> None:
        for record, _ in self._changed(ids, answer):
            self._seen["cancelled"] += record.state in WAIT
            if record.state in WAIT:
                record.close(State.CANCELLED, self._clock.now())
            elif record.state is State.RUNNING:
                self._seen["cancelled while it ran"] += 1
                record.unwanted = True

    def _requeue(self, ids: Sequence[str], answer: Sequence[State | None]) -> None:
        for record, _ in self._changed(ids, answer):
            if record.state is State.FAILED:
                self._seen["requeued"] += 1
                record.failures = record.crashes = record.lost = 0
                record.expires = None
                record.wait(self._ledger.number())

    def _forget(self, ids: Sequence[str], answer: Sequence[State | None]) -> None:
        for record, id_ in self._changed(ids, answer):
            if record.ended:
                self._seen["forgotten"] += 1
                self._ledger.forget(id_, self._clock.now() + 86400.0)

    def _attach(self, info: WorkerInfo, answer: object) -> None:
        self._ledger.open(info, self._clock.monotonic())
        self._ledger.sessions[info.session].stored = True
        self._ledger.stored[info.session] = info
        self._ledger.attempts.update({name: options.attempts for name, options in info.types.items()})

    def _renew(
        self, session: str, wait: float, draining: bool, heard: Sequence[Lease], answer: Orders
    ) -> None:
        demand(self._ledger.is_open(session), "a session was renewed that has ended:", session)
        stop = [record.lease for record in self._ledger.running(session) if record.unwanted]
        demand({*answer.cancel} == {*stop}, "cancelled are", stop, "but ordered was", answer.cancel)
        self._seen["an order to stop"] += len(stop)
        found = self._ledger.sessions[session]
        found.deadline = self._clock.monotonic() + SESSION_TERM
        found.draining |= draining

    def _detach(self, session: str, answer: object) -> None:
        for record in self._ledger.running(session):
            record.give_back(self._clock.now())
        self._ledger.sessions.pop(session, None)
        self._ledger.stored.pop(session, None)

    def _crashed(self, crash: Crash, answer: object) -> None:
        self._bury(crash)
        for record in self._ledger.running(crash.slot.session, crash.slot):
            if record.lease != crash.current:
                record.give_back(self._clock.now())
            elif crash.current is None or crash.outcome is Outcome.CRASHED:
                self._seen["crashed"] += 1
                record.charge(self._clock.now(), crashes=1)
                self._seen["parked"] += record.state is State.FAILED
            else:
                self._seen["crashed by its parent"] += 1
                self._end_attempt(record, Fail(crash.current, b""))

    def _exchange(
        self, claim: Claim, settlements: Sequence[Settlement], wait: float, answer: Exchanged
    ) -> None:
        demand(self._ledger.is_open(claim.slot.session), "a call under a session that has ended:", claim)
        if not self._enter(claim):
            demand(set(answer.verdicts) <= {Verdict.LOST}, "a late call has settled something:", claim)
            demand(not answer.tasks, "a late call was given tasks:", claim)
            self._seen["a late call"] += 1
            return
        self._settle(settlements, answer.verdicts)
        named = {*claim.holding, *(settlement.lease for settlement in settlements)}
        for record in self._ledger.running(claim.slot.session, claim.slot):
            if record.lease not in named:
                self._seen["given back"] += 1
                record.give_back(self._clock.now())
        self._take(claim, answer.tasks)

    def _take(self, claim: Claim, tasks: Sequence[Taken]) -> None:
        line = self._ledger.line(claim.types)
        limit = 0 if self._ledger.sessions[claim.slot.session].draining else claim.limit
        demand(len(tasks) <= limit, len(tasks), "tasks for a limit of", limit)
        demand(tasks or not line or not limit, "nobody was given", [r.new.id for r in line])
        due = [record.new.id for record in line[: len(tasks)]]
        demand([t.id for t in tasks] == due, "the line is", due, "but taken were", [t.id for t in tasks])
        for record, taken in zip(line, tasks, strict=False):
            demand(taken.lease not in record.past, "a lease was given twice:", taken.lease)
            demand(taken.lease.attempt == record.attempt + 1, "attempt", taken.lease.attempt, "of", record)
            given = (taken.type, taken.input, taken.failures, taken.priority)
            new = record.new
            demand(given == (new.type, new.input, record.failures, new.priority), "given", given, "of", new)
            record.state, record.attempt = State.RUNNING, taken.lease.attempt
            record.lease, record.slot = taken.lease, claim.slot

    def _changed(self, ids: Sequence[str], answer: Sequence[State | None]) -> list[tuple[Record, str]]:
        """The records behind ids, whose states must be as answered. Each id is named once."""
        tasks = self._ledger.tasks
        states = [tasks[id_].state if id_ in tasks else None for id_ in ids]
        demand(list(answer) == states, "the states of", ids, "were", states, "not", answer)
        return [(tasks[id_], id_) for id_ in ids if id_ in tasks]

    def _digest(self, id_: str) -> bytes | None:
        if id_ in self._ledger.tasks:
            return self._ledger.tasks[id_].new.digest
        return self._ledger.gone[id_][0] if id_ in self._ledger.gone else None

    def _enter(self, claim: Claim) -> bool:
        """Notes a call. Gives whether it is the latest of its slot."""
        slots = self._ledger.sessions[claim.slot.session].slots
        if (claim.slot.incarnation, claim.call) <= slots.get(claim.slot.index, (0, -1)):
            return False
        slots[claim.slot.index] = (claim.slot.incarnation, claim.call)
        return True

    def _bury(self, crash: Crash) -> None:
        slot = crash.slot
        known = self._ledger.sessions.get(slot.session)
        if known is not None and not known.ended:
            slots = known.slots
            if slots.get(slot.index, (0, -1))[0] <= slot.incarnation:
                slots[slot.index] = (slot.incarnation + 1, -1)

    def _end(self, session: str) -> None:
        if session in self._ledger.sessions:
            self._ledger.sessions[session].ended = True
