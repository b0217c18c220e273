"""finish, fail, retry, release: a worker says how an attempt ended.

The store holds the fence: a settlement counts only under the lease of the current attempt. After a failure
the row is read, policy decides, and the decision is written, all in one transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from qm.errors import BadRequest, TooLarge
from qm.limits import IDS_MAX, PAYLOAD_MAX
from qm.messages import Fail, Finish, Release, Retry, Settlement, Verdict
from qm.policy.decision import Bury, Decision
from qm.policy.retention import KEEP_ENDED, KEEP_FAILED
from qm.policy.retry import after_failure, after_retry
from qm.queue.core import Core, Effects
from qm.store.base import Held, Transaction
from qm.task import Lease

S = TypeVar("S", Finish, Release)

#: An error is packed type, message and traceback; see `qm.limits`. Four bytes a character at worst.
_ERROR_MAX = 160 * 1024


def settle_alone(core: Core, settlements: Sequence[Settlement]) -> list[Verdict]:
    """Settles in a commit of its own."""
    effects = Effects()
    now = core.clock.now()
    verdicts = core.commit.run(lambda tx: settle(core, tx, settlements, now, effects))
    core.tell(effects)
    return verdicts


def settle(
    core: Core, tx: Transaction, settlements: Sequence[Settlement], now: float, effects: Effects
) -> list[Verdict]:
    """Settles inside `tx`: a verdict for each, in order. Raises `BadRequest` for what is too large."""
    if not settlements:
        return []
    check(settlements)
    finished = [s for s in settlements if isinstance(s, Finish)]
    failed = [s for s in settlements if isinstance(s, Fail)]
    retried = [s for s in settlements if isinstance(s, Retry)]
    released = [s for s in settlements if isinstance(s, Release)]
    verdicts = {
        Finish: iter(finish(tx, finished, now, effects) if finished else ()),
        Fail: iter(fail(core, tx, failed, now, effects) if failed else ()),
        Retry: iter(retry(tx, retried, now, effects) if retried else ()),
        Release: iter(release(tx, released, now, effects) if released else ()),
    }
    return [next(verdicts[type(settlement)]) for settlement in settlements]


def finish(tx: Transaction, items: Sequence[Finish], now: float, effects: Effects) -> Sequence[Verdict]:
    """Results: the tasks are done."""
    verdicts = tx.finish(items, now, KEEP_ENDED)
    effects.ended += [item.lease.id for item in _accepted(items, verdicts)]
    return verdicts


def fail(
    core: Core, tx: Transaction, items: Sequence[Fail], now: float, effects: Effects
) -> Sequence[Verdict]:
    """Errors: policy says whether there is another attempt."""
    decided = []
    held = _held(tx, items)
    for item in items:
        row = held.get(item.lease)
        failures, attempts = (row.failures + 1, row.attempts) if row else (1, None)
        decided.append((item, after_failure(failures, attempts, item.retryable, now, core.draw)))
    verdicts = tx.fail(decided, now, KEEP_FAILED)
    _tell([(item.lease, decision) for item, decision in decided], verdicts, held, now, effects)
    return verdicts


def retry(tx: Transaction, items: Sequence[Retry], now: float, effects: Effects) -> Sequence[Verdict]:
    """The worker asks for another attempt at once."""
    decided = []
    held = _held(tx, items)
    for item in items:
        row = held.get(item.lease)
        failures, attempts = (row.failures + 1, row.attempts) if row else (1, None)
        decided.append((item, after_retry(failures, attempts, now)))
    verdicts = tx.retry(decided, now, KEEP_FAILED)
    _tell([(item.lease, decision) for item, decision in decided], verdicts, held, now, effects)
    return verdicts


def release(tx: Transaction, items: Sequence[Release], now: float, effects: Effects) -> Sequence[Verdict]:
    """The worker gives tasks back unstarted."""
    held = _held(tx, items)
    verdicts = tx.release([item.lease for item in items], now)
    effects.waiting.update(held[item.lease].type for item in _accepted(items, verdicts))
    return verdicts


def check(settlements: Sequence[Settlement]) -> None:
    """Raises `BadRequest` for more than a call may carry."""
    if len(settlements) > IDS_MAX:
        raise TooLarge(f"{len(settlements)} settlements in one call, the limit is {IDS_MAX}")
    for item in settlements:
        if isinstance(item, Finish) and len(item.output) > PAYLOAD_MAX:
            raise TooLarge(f"the output of {item.lease.id} is over {PAYLOAD_MAX:,} bytes")
        if isinstance(item, (Fail, Retry)) and item.error is not None and len(item.error) > _ERROR_MAX:
            raise BadRequest(f"the error of {item.lease.id} is over {_ERROR_MAX:,} bytes")


def _held(tx: Transaction, items: Sequence[Settlement]) -> dict[Lease, Held]:
    rows = tx.leased([item.lease for item in items])
    return {row.lease: row for row in rows if row is not None}


def _accepted(items: Sequence[S], verdicts: Sequence[Verdict]) -> list[S]:
    return [i for i, verdict in zip(items, verdicts, strict=True) if verdict is Verdict.ACCEPTED]


def _tell(
    decided: Iterable[tuple[Lease, Decision]],
    verdicts: Iterable[Verdict],
    held: dict[Lease, Held],
    now: float,
    effects: Effects,
) -> None:
    for (lease, decision), verdict in zip(decided, verdicts, strict=True):
        if verdict is not Verdict.ACCEPTED:
            continue
        if isinstance(decision, Bury):
            effects.ended.append(lease.id)
        elif decision.at > now:
            effects.scheduled(decision.at)
        else:
            effects.waiting[held[lease].type] += 1
