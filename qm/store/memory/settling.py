"""The verbs that need a lease: each acts only while the lease holds, and knows its own repetition."""

from __future__ import annotations

from collections.abc import Sequence

from qm.messages import Fail, Finish, Progress, Retry, Verdict
from qm.policy.decision import Bury, Cancel, Decision
from qm.store.base import Recovery
from qm.store.memory.changing import Changing
from qm.store.memory.rows import Ending, Record, Row
from qm.task import Lease, Outcome, State


class Settling(Changing):
    """Verbs over tables that nobody else changes meanwhile."""

    def finish(self, items: Sequence[Finish], now: float, keep: float) -> Sequence[Verdict]:
        return [self._finish(item, now, keep) for item in items]

    def fail(self, items: Sequence[tuple[Fail, Decision]], now: float, keep: float) -> Sequence[Verdict]:
        return [
            self._fail(
                item.lease,
                Ending("fail", item.outcome, item.error, details=item.details),
                decision,
                now,
                keep,
            )
            for item, decision in items
        ]

    def retry(self, items: Sequence[tuple[Retry, Decision]], now: float, keep: float) -> Sequence[Verdict]:
        return [
            self._fail(item.lease, Ending("retry", Outcome.ERROR, item.error), decision, now, keep)
            for item, decision in items
        ]

    def release(self, leases: Sequence[Lease], now: float) -> Sequence[Verdict]:
        return [self._release(lease, now) for lease in leases]

    def recover(self, items: Sequence[Recovery], now: float, keep: float) -> Sequence[Verdict]:
        return [self._recover(item, now, keep) for item in items]

    def progress(self, items: Sequence[Progress]) -> Sequence[Verdict]:
        return [self._progress(item) for item in items]

    def _finish(self, item: Finish, now: float, keep: float) -> Verdict:
        row = self._running(item.lease)
        if row is None:
            return self._refusal(item.lease, "finish")
        self._record(row, Ending("finish", Outcome.OK, details=item.details), now)
        self._tables.put(row.closed(State.DONE, now, self._keep(row, keep), output=item.output))
        return Verdict.ACCEPTED

    def _fail(self, lease: Lease, ending: Ending, decision: Decision, now: float, keep: float) -> Verdict:
        row = self._running(lease)
        if row is None:
            return self._refusal(lease, ending.verb)
        self._record(row, ending, now)
        if isinstance(decision, Cancel):
            self._tables.put(row.closed(State.CANCELLED, now, self._keep(row, keep)))
            return Verdict.ACCEPTED
        row = row.failed()
        if isinstance(decision, Bury):
            row = row.closed(State.FAILED, now, self._keep(row, keep), reason=decision.reason)
        elif decision.at > now:
            row = row.scheduled(decision.at)
        else:
            row = row.waiting(self._tables.number())
        self._tables.put(row)
        return Verdict.ACCEPTED

    def _release(self, lease: Lease, now: float) -> Verdict:
        row = self._running(lease)
        if row is None:
            return self._refusal(lease, "release")
        self._record(row, Ending("release", Outcome.RELEASED), now)
        self._tables.put(row.waiting(row.seq))
        return Verdict.ACCEPTED

    def _recover(self, item: Recovery, now: float, keep: float) -> Verdict:
        row = self._running(item.lease)
        if row is None:
            return self._refusal(item.lease, "recover")
        self._record(row, Ending("recover", item.outcome, cause=item.cause, details=item.details), now)
        row = row.struck(item.outcome)
        if isinstance(item.decision, Bury):
            row = row.closed(State.FAILED, now, self._keep(row, keep), reason=item.decision.reason)
        elif isinstance(item.decision, Cancel):
            row = row.closed(State.CANCELLED, now, self._keep(row, keep))
        else:
            row = row.waiting(row.seq)
        self._tables.put(row)
        return Verdict.ACCEPTED

    def _progress(self, item: Progress) -> Verdict:
        row = self._running(item.lease)
        if row is None:
            return Verdict.LOST
        self._tables.put(row.noted(item.fraction, item.note))
        return Verdict.ACCEPTED

    def _running(self, lease: Lease) -> Row | None:
        """The task that runs under exactly this lease: the fence of every verb here."""
        row = self._tables.rows.get(lease.id)
        return row if row is not None and row.lease == lease else None

    def _refusal(self, lease: Lease, verb: str) -> Verdict:
        """What to say of a lease that does not hold: was it settled just so before?"""
        row = self._tables.rows.get(lease.id)
        record = self._tables.records.get((row.n, lease.attempt)) if row else None
        if record is not None and record.lease == lease and record.ending.verb == verb:
            return Verdict.REPEATED
        return Verdict.LOST

    def _record(self, row: Row, ending: Ending, now: float) -> None:
        if row.lease is not None:
            self._tables.record(row, Record(row.lease, ending, row.slot, row.worker, row.started, now))
