"""The verbs that end an attempt: finish, fail, retry, release, recover.

All have one shape: an UPDATE whose WHERE is the fence (running, this attempt, this lease) and whose
RETURNING says which leases held; a record of each attempt that ended; and for the leases that did not hold a
look at how they were settled, so that the same settlement said twice is a success.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from qm.messages import Details, Fail, Finish, Retry, Verdict
from qm.policy.decision import Back, Bury, Cancel, Decision
from qm.store.base import Recovery
from qm.store.sql.part import NEAR_MAX, Part, Row
from qm.task import Lease, Outcome, State

#: Which counter a death raises: (crashes, lost).
_STRIKES: Final = {Outcome.CRASHED: (1, 0), Outcome.LOST: (0, 1)}

#: Where policy's word takes a task whose worker is gone.
_TARGETS: Final = {Back: State.WAITING, Bury: State.FAILED, Cancel: State.CANCELLED}


class _End(NamedTuple):
    """How one attempt ends: the row for the verb's query, and what its record says."""

    lease: Lease
    row: Row
    target: State
    outcome: Outcome
    cause: str | None = None
    error: bytes | None = None
    output: bytes | None = None
    details: Details | None = None


class Settling(Part):
    """See `qm.store.base.Verbs`."""

    def finish(self, items: Sequence[Finish], now: float, keep: float) -> list[Verdict]:
        ends = [
            _End(i.lease, (len(i.output),), State.DONE, Outcome.OK, output=i.output, details=i.details)
            for i in items
        ]
        verdicts, settled = self._settle("finish", ends, now, (now, keep))
        far = [(n, end.output) for n, end in settled if len(end.output or b"") > NEAR_MAX]
        if far:
            self.connection.run_many("finish_output", far)
        return verdicts

    def fail(self, items: Sequence[tuple[Fail, Decision]], now: float, keep: float) -> list[Verdict]:
        ends = [
            self._failed(item.lease, item.error, decision, now)._replace(
                outcome=item.outcome, details=item.details
            )
            for item, decision in items
        ]
        return self._settle("fail", ends, now, (now, keep))[0]

    def retry(self, items: Sequence[tuple[Retry, Decision]], now: float, keep: float) -> list[Verdict]:
        ends = [self._failed(item.lease, item.error, decision, now) for item, decision in items]
        return self._settle("retry", ends, now, (now, keep))[0]

    def release(self, leases: Sequence[Lease], now: float) -> list[Verdict]:
        ends = [_End(lease, (), State.WAITING, Outcome.RELEASED) for lease in leases]
        return self._settle("release", ends, now, ())[0]

    def recover(self, items: Sequence[Recovery], now: float, keep: float) -> list[Verdict]:
        ends = []
        for item in items:
            target = _TARGETS[type(item.decision)]
            reason = item.decision.reason if isinstance(item.decision, Bury) else None
            row = (target.value, reason, *_STRIKES.get(item.outcome, (0, 0)))
            ends.append(_End(item.lease, row, target, item.outcome, item.cause, details=item.details))
        return self._settle("recover", ends, now, (now, keep))[0]

    def _failed(self, lease: Lease, error: bytes | None, decision: Decision, now: float) -> _End:
        if isinstance(decision, Bury):
            target, due, seq, reason = State.FAILED, None, None, decision.reason
        elif isinstance(decision, Cancel):
            target, due, seq, reason = State.CANCELLED, None, None, None
        elif decision.at > now:
            target, due, seq, reason = State.SCHEDULED, decision.at, None, None
        else:
            target, due, seq, reason = State.WAITING, None, self.entry.number(), None
        return _End(lease, (target.value, due, seq, reason), target, Outcome.ERROR, error=error)

    def _settle(
        self, verb: str, ends: Sequence[_End], now: float, extra: Row
    ) -> tuple[list[Verdict], list[tuple[int, _End]]]:
        """Runs the verb's query over the ends. Gives a verdict for each, and those that held with their n."""
        first: dict[Lease, _End] = {}
        for end in ends:
            first.setdefault(end.lease, end)
        given = [(*_triple(lease), *end.row) for lease, end in first.items()]
        settled = []
        for row in self.connection.run_many(verb, given, extra):
            _, id_, name, attempt, token = row[:5]
            end = first[Lease(id_, attempt, token)]
            settled.append((end, row))
            self.entry.move(name, State.RUNNING, end.target)
        self.connection.run_many("record", [_record(verb, end, row, now) for end, row in settled])
        details = [_details(row, end.details) for end, row in settled if end.details is not None]
        if details:
            self.connection.run_many("record_details", details)
        verdicts = self._verdicts(verb, ends, {end.lease for end, _ in settled})
        return verdicts, [(row[0], end) for end, row in settled]

    def _verdicts(self, verb: str, ends: Sequence[_End], held: set[Lease]) -> list[Verdict]:
        if len(held) == len(ends):
            return [Verdict.ACCEPTED] * len(ends)
        rows = self.connection.run_many("settled", {_triple(end.lease): None for end in ends})
        repeated = {Lease(id_, attempt, token) for id_, attempt, token, said in rows if said == verb}
        verdicts = []
        for end in ends:
            if end.lease in held:
                held.remove(end.lease)  # the same lease further down this batch is a repetition
                verdicts.append(Verdict.ACCEPTED)
            else:
                verdicts.append(Verdict.REPEATED if end.lease in repeated else Verdict.LOST)
        return verdicts


def _triple(lease: Lease) -> tuple[str, int, int]:
    return lease.id, lease.attempt, lease.token


def _details(row: Row, details: Details) -> Row:
    return (row[0], row[3], details.pid, details.exitcode, details.peak_memory, details.log)


def _record(verb: str, end: _End, row: Row, now: float) -> Row:
    n, _, _, attempt, token, session, slot, worker, started = row
    who = (session, slot, worker, started, now)
    near = end.output if end.output is None or len(end.output) <= NEAR_MAX else None
    return (n, attempt, token, verb, end.outcome.value, *who, end.cause, end.error, near)
