"""finish, fail, retry, release: a worker says how an attempt ended.

The store holds the fence: a settlement counts only under the lease of the current attempt. After a failure
the row is read, policy decides, and the decision is written, all in one transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar

from qm.errors import BadRequest, TooLarge
from qm.limits import IDS_MAX, LOG_MAX, PAYLOAD_MAX
from qm.messages import Fail, Finish, Release, Retry, Settlement, Verdict
from qm.payload import fits_sealed
from qm.policy.decision import Bury, Cancel, Decision
from qm.policy.retention import KEEP_ENDED, KEEP_FAILED
from qm.policy.retry import after_failure, after_retry
from qm.policy.strikes import after_release
from qm.queue.core import Core, Effects
from qm.store.base import Held, Recovery, Transaction
from qm.task import Lease, Outcome

S = TypeVar("S", Finish, Release)
R = TypeVar("R", Fail, Retry)

#: How an attempt may have ended that its worker calls a failure.
_FAILURES: Final = frozenset({Outcome.ERROR, Outcome.TIMEOUT, Outcome.CANCELLED})

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
        failures, attempts, cancelling = _known(held.get(item.lease))
        decision = after_failure(failures, attempts, item.retryable, now, core.draw, cancelling)
        decided.append((item, decision))
    verdicts = _by_keep(tx.fail, decided, now)
    _tell([(item.lease, decision) for item, decision in decided], verdicts, held, now, effects)
    return verdicts


def retry(tx: Transaction, items: Sequence[Retry], now: float, effects: Effects) -> Sequence[Verdict]:
    """The worker asks for another attempt at once."""
    decided = []
    held = _held(tx, items)
    for item in items:
        failures, attempts, cancelling = _known(held.get(item.lease))
        decided.append((item, after_retry(failures, attempts, now, cancelling)))
    verdicts = _by_keep(tx.retry, decided, now)
    _tell([(item.lease, decision) for item, decision in decided], verdicts, held, now, effects)
    return verdicts


def release(tx: Transaction, items: Sequence[Release], now: float, effects: Effects) -> Sequence[Verdict]:
    """The worker gives tasks back unstarted. Those that somebody cancelled end here."""
    held = _held(tx, items)
    for row in held.values():
        decision = after_release(row.cancelling)
        if isinstance(decision, Cancel):
            stop = Recovery(lease=row.lease, outcome=Outcome.CANCELLED, decision=decision)
            tx.recover([stop], now, KEEP_ENDED)
            effects.ended.append(row.lease.id)
    verdicts = tx.release([item.lease for item in items], now)
    effects.waiting.update(held[item.lease].type for item in _accepted(items, verdicts))
    return verdicts


def check(settlements: Sequence[Settlement]) -> None:
    """Raises `BadRequest` for more than a call may carry."""
    if len(settlements) > IDS_MAX:
        raise TooLarge(f"{len(settlements)} settlements in one call, the limit is {IDS_MAX}")
    for item in settlements:
        if isinstance(item, Finish) and len(item.output) > PAYLOAD_MAX and not fits_sealed(item.output):
            raise TooLarge(f"the output of {item.lease.id} is over {PAYLOAD_MAX:,} bytes")
        if isinstance(item, Fail) and item.outcome not in _FAILURES:
            raise BadRequest(f"an attempt of {item.lease.id} cannot fail as {item.outcome.value}")
        if isinstance(item, (Finish, Fail)) and item.details and len(item.details.log) > LOG_MAX:
            raise TooLarge(f"the log of {item.lease.id} is over {LOG_MAX:,} characters")
        if isinstance(item, (Fail, Retry)) and item.error is not None and len(item.error) > _ERROR_MAX:
            raise BadRequest(f"the error of {item.lease.id} is over {_ERROR_MAX:,} bytes")


def _held(tx: Transaction, items: Sequence[Settlement]) -> dict[Lease, Held]:
    rows = tx.leased([item.lease for item in items])
    return {row.lease: row for row in rows if row is not None}


def _known(row: Held | None) -> tuple[int, int | None, bool]:
    """What policy asks about a task whose attempt has just failed; of a lost lease, anything."""
    return (row.failures + 1, row.attempts, row.cancelling) if row else (1, None, False)


def _by_keep(
    verb: Callable[[Sequence[tuple[R, Decision]], float, float], Sequence[Verdict]],
    decided: Sequence[tuple[R, Decision]],
    now: float,
) -> Sequence[Verdict]:
    """Says a verb, apart for cancelled tasks, which are not kept for as long as failed ones."""
    cancelled = [isinstance(decision, Cancel) for _, decision in decided]
    if not any(cancelled):
        return verb(decided, now, KEEP_FAILED)
    parts = {}
    for kind, keep in ((True, KEEP_ENDED), (False, KEEP_FAILED)):
        some = [pair for pair, is_cancelled in zip(decided, cancelled, strict=True) if is_cancelled is kind]
        parts[kind] = iter(verb(some, now, keep))
    return [next(parts[kind]) for kind in cancelled]


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
        if isinstance(decision, (Bury, Cancel)):
            effects.ended.append(lease.id)
        elif decision.at > now:
            effects.scheduled(decision.at)
        else:
            effects.waiting[held[lease].type] += 1
