"""What workers say: take, exchange, finish, fail, retry, release, progress; attach, renew, detach, crashed.

`qmworker` says it all by itself. A worker of your own, in a process of your own:

    info = WorkerInfo(session=new_id(), host=..., pid=..., processes=1, types={"mail": TypeOptions()})
    client.attach(info)                      # and client.renew(info.session) at least every 30 s
    slot = Slot(info.session, 0, 0)
    for task in client.take_many(slot, ["mail"], limit=10, wait=20):
        client.finish(task.lease, send(unpack(task.input)))
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from qm.client.tasks import chunks
from qm.errors import LeaseLost
from qm.limits import WAIT_MAX
from qm.messages import (
    Attached,
    Claim,
    Crash,
    Exchanged,
    Fail,
    Finish,
    Orders,
    Progress,
    Release,
    Retry,
    Settlement,
    Slot,
    Taken,
    Verdict,
    WorkerInfo,
)
from qm.payload import pack, pack_failure
from qm.task import Failure, Lease
from qm.wire.verbs import QueueVerbs

T = TypeVar("T")
S = TypeVar("S", bound=Settlement | Progress)


class Working:
    """The workers' half of `Client`."""

    _queue: QueueVerbs
    #: A new number for every try of a take: the manager refuses a late copy of an earlier one.
    _calls: itertools.count[int]

    def _patiently(self, once: Callable[[], T]) -> T:
        raise TypeError("Client brings it")

    def attach(self, worker: WorkerInfo) -> Attached:
        """Opens a session, or re-opens it after a lost connection. Gives its term in seconds."""
        return self._patiently(lambda: self._queue.attach(worker))

    def renew(
        self, session: str, wait: float = 0, draining: bool = False, heard: Sequence[Lease] = ()
    ) -> Orders:
        """Keeps a session alive; blocks up to `wait` seconds (a third of the term at most) for orders.

        `draining`: its slots get no more tasks. `heard`: leases that the pool knows to be cancelled; they are
        told again for as long as they hold, but do not end the wait. One whose manager was lost meanwhile is
        said again without a wait: the pool should know soon that it lives.

        Raises `SessionLost`: attach again.
        """
        waits = itertools.chain([wait], itertools.repeat(0.0))
        return self._patiently(lambda: self._queue.renew(session, next(waits), draining, heard))

    def detach(self, session: str) -> None:
        """Ends a session; tasks it still holds go back uncounted."""
        self._patiently(lambda: self._queue.detach(session))

    def crashed(self, crash: Crash) -> None:
        """Reports a child's death: the task it ran is charged, its others go back uncounted."""
        self._patiently(lambda: self._queue.crashed(crash))

    def take(
        self, slot: Slot, types: Sequence[str], wait: float = 0, holding: Sequence[Lease] = ()
    ) -> Taken | None:
        """Leases one task, or None when there is none within `wait` seconds."""
        taken = self.take_many(slot, types, 1, wait, holding)
        return taken[0] if taken else None

    def take_many(
        self,
        slot: Slot,
        types: Sequence[str],
        limit: int,
        wait: float = 0,
        holding: Sequence[Lease] = (),
    ) -> Sequence[Taken]:
        """Leases up to `limit` tasks of `types` to a slot; waits `wait` seconds for the first. Leases of the
        slot that `holding` does not name go back: they were lost with an answer. Raises `SessionLost`."""
        deadline = time.monotonic() + wait
        while True:
            asked = time.monotonic()
            some = max(0.0, min(deadline - asked, WAIT_MAX))
            taken = self._take(slot, types, limit, some, holding)
            now = time.monotonic()
            # nothing, and long before the time is over: the pool or the manager is leaving, so stop asking
            if taken or now >= deadline or now - asked < some / 2:
                return taken

    def exchange(
        self,
        slot: Slot,
        settlements: Sequence[Settlement],
        types: Sequence[str],
        limit: int = 1,
        wait: float = 0,
        holding: Sequence[Lease] = (),
    ) -> Exchanged:
        """Settles outcomes and takes more, in one round trip: the hot path of a worker. Of what waits it
        takes a fair share, with other processes that serve the types, and `limit` at most. Outcomes too large
        for one frame go ahead in frames of their own."""
        *early, last = list(chunks(settlements, _weigh)) or [[]]
        verdicts: list[Verdict] = []
        held = [*holding, *(settlement.lease for settlement in settlements)]
        for some in early:
            verdicts += self._exchange(slot, some, types, 0, 0, held).verdicts
        answer = self._exchange(slot, last, types, limit, wait, holding)
        return Exchanged([*verdicts, *answer.verdicts], answer.tasks)

    def finish(self, lease: Lease, output: Any = None) -> None:
        """Hands in a result. Raises `LeaseLost` (drop it), `BadPayload`, `TooLarge`."""
        self._one(self.finish_many([Finish(lease, pack(output))]), lease)

    def finish_many(self, items: Sequence[Finish]) -> Sequence[Verdict]:
        """Hands in results; a verdict for each."""
        return self._settle(self._queue.finish, items)

    def fail(self, lease: Lease, failure: Failure, retryable: bool = True) -> None:
        """Says that an attempt failed; policy decides whether there is another. Raises `LeaseLost`."""
        self._one(self.fail_many([Fail(lease, pack_failure(failure), retryable)]), lease)

    def fail_many(self, items: Sequence[Fail]) -> Sequence[Verdict]:
        """Says that attempts failed; a verdict for each."""
        return self._settle(self._queue.fail, items)

    def retry(self, lease: Lease, failure: Failure | None = None) -> None:
        """Gives a task back for another attempt at once, at the tail; counts as a failure."""
        error = pack_failure(failure) if failure is not None else None
        self._one(self.retry_many([Retry(lease, error)]), lease)

    def retry_many(self, items: Sequence[Retry]) -> Sequence[Verdict]:
        """Gives tasks back for another attempt; a verdict for each."""
        return self._settle(self._queue.retry, items)

    def release(self, lease: Lease) -> None:
        """Gives a task back to its old place, uncounted. Raises `LeaseLost`."""
        self._one(self.release_many([lease]), lease)

    def release_many(self, leases: Iterable[Lease]) -> Sequence[Verdict]:
        """Gives tasks back to their old places; a verdict for each."""
        return self._settle(self._queue.release, [Release(lease) for lease in leases])

    def progress(self, lease: Lease, fraction: float, note: str = "") -> None:
        """Says how far a running task is: a fraction of 1, and a note. Raises `LeaseLost`."""
        self._one(self.progress_many([Progress(lease, fraction, note)]), lease)

    def progress_many(self, items: Sequence[Progress]) -> Sequence[Verdict]:
        """Says how far running tasks are; a verdict for each."""
        return self._settle(self._queue.progress, items)

    def _exchange(
        self,
        slot: Slot,
        settlements: Sequence[Settlement],
        types: Sequence[str],
        limit: int,
        wait: float,
        holding: Sequence[Lease],
    ) -> Exchanged:
        return self._patiently(
            lambda: self._queue.exchange(
                self._claim(slot, types, limit, holding, share=True), settlements, wait
            )
        )

    def _settle(self, verb: Callable[[Sequence[S]], Sequence[Verdict]], items: Iterable[S]) -> list[Verdict]:
        """Says a verb over items, in frames of bounded size."""
        verdicts: list[Verdict] = []
        for some in chunks(items, _weigh):
            verdicts += self._patiently(lambda some=some: verb(some))  # type: ignore[misc]
        return verdicts

    def _claim(
        self,
        slot: Slot,
        types: Sequence[str],
        limit: int,
        holding: Sequence[Lease],
        share: bool = False,
    ) -> Claim:
        return Claim(
            slot=slot,
            call=next(self._calls),
            holding=list(holding),
            types=list(types),
            limit=limit,
            share=share,
        )

    def _take(
        self, slot: Slot, types: Sequence[str], limit: int, wait: float, holding: Sequence[Lease]
    ) -> Sequence[Taken]:
        return self._patiently(lambda: self._queue.take(self._claim(slot, types, limit, holding), wait))

    @staticmethod
    def _one(verdicts: Sequence[Verdict], lease: Lease) -> None:
        if verdicts[0] is Verdict.LOST:
            raise LeaseLost(f"task {lease.id} is no longer held by this worker", hint="drop its result")


def _weigh(item: Settlement | Progress) -> int:
    """The payload bytes of what a worker says."""
    payload = item.output if isinstance(item, Finish) else getattr(item, "error", None)
    details = getattr(item, "details", None)
    return len(payload or b"") + (len(details.log) if details else 0)
