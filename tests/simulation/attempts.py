"""How attempts end, said anew: each settlement under its lease, and what follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from qm.clock import Clock
from qm.messages import Fail, Finish, Progress, Release, Retry, Settlement, Verdict
from qm.task import State
from tests.simulation.ledger import Ledger, Record, demand

#: The failures that a task may have if neither it nor its type says; the pause after the first, how it grows,
#: and how much it varies.
ATTEMPTS: Final = 5
PAUSE, GROWTH, JITTER = 10.0, 3.0, 0.25

_NAMES: Final = {Finish: "finish", Fail: "fail", Retry: "retry", Release: "release"}


class Attempts:
    """Settles under leases."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._seen = ledger.seen

    def _finish(self, items: Sequence[Settlement], answer: Sequence[Verdict]) -> None:
        self._settle(items, answer)

    _fail = _retry = _release = _finish

    def _progress(self, items: Sequence[Progress], answer: Sequence[Verdict]) -> None:
        for item, verdict in zip(items, answer, strict=True):
            expected = Verdict.ACCEPTED if self._held(item.lease) else Verdict.LOST
            demand(verdict is expected, "progress was", verdict, "not", expected, item)

    def _settle(self, items: Sequence[Settlement], answer: Sequence[Verdict]) -> None:
        for item, verdict in zip(items, answer, strict=True):
            verb = _NAMES[type(item)]
            record = self._held(item.lease)
            known = self._ledger.tasks.get(item.lease.id)
            if record is not None:
                expected = self._end_attempt(record, item)
            elif known is not None and known.past.get(item.lease) == verb:
                expected = Verdict.REPEATED
            else:
                expected = Verdict.LOST
            demand(verdict is expected, "a settlement was", verdict, "not", expected, item)
            self._seen[f"{verb} {verdict}"] += 1

    def _end_attempt(self, record: Record, item: Settlement) -> Verdict:
        now = self._clock.now()
        if isinstance(item, Release):
            stopped = record.unwanted
            record.give_back(now)
            if stopped:  # it has ended instead, so there is nothing that was given back
                return Verdict.LOST
            record.past[item.lease] = "release"
        elif isinstance(item, Finish):
            record.end_attempt("finish")
            record.output = item.output
            record.close(State.DONE, now)
        else:
            record.end_attempt(_NAMES[type(item)])
            self._again(record, now, item)
        return Verdict.ACCEPTED

    def _again(self, record: Record, now: float, item: Fail | Retry) -> None:
        if record.unwanted:
            record.close(State.CANCELLED, now)
            return
        record.failures += 1
        own, of_type = record.new.attempts, self._ledger.attempts.get(record.new.type)
        allowed = own if own is not None else of_type if of_type is not None else ATTEMPTS
        if record.failures >= allowed or (isinstance(item, Fail) and not item.retryable):
            record.close(State.FAILED, now)
        elif isinstance(item, Retry):
            record.wait(self._ledger.number())
        else:
            pause = PAUSE * GROWTH ** (record.failures - 1)
            record.state, record.due = State.SCHEDULED, None
            record.bounds = (now + pause * (1 - JITTER), now + pause * (1 + JITTER))

    def _held(self, lease: object) -> Record | None:
        found = [r for r in self._ledger.tasks.values() if r.lease is not None and r.lease == lease]
        return found[0] if found else None
