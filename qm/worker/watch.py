"""What a parent does about the task that a child runs: it ends one that is over its time, or was cancelled.

    order ──► the exception, again and again ──grace──► where it hangs, into the slot's file ──► death

User code can catch the exception, and code in C does not see it while it runs; the dump and the kill need
nothing of either. Each step happens at a moment that is known before; `next` is the nearest.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection
from typing import Final, NamedTuple

from qm.messages import Details
from qm.payload import pack_failure
from qm.task import Failure, Lease, Outcome
from qm.worker.interrupt import DUMP, RAISE
from qm.worker.output import Output
from qm.worker.page import Page, Running

#: Seconds for a task to clean up after the exception: enough to roll back and say good-bye to a server, and a
#: person who cancels still sees it happen.
GRACE_SECONDS: Final = 5.0

#: Seconds until the exception is raised once more in a task that goes on.
_AGAIN: Final = 0.25

#: Seconds for the kernel to let faulthandler write: it does when the process gets the processor.
_DUMP_SECONDS: Final = 0.3

#: Seconds between two looks at the output of a task that runs long.
_LOOK: Final = 1.0


class Order(NamedTuple):
    """A task has to end."""

    why: Outcome
    task: Running
    #: When the parent said so first, by `qm.clock.boottime`.
    since: float
    #: Where the dump begins in the output, once it was asked for.
    dump: int | None = None
    killed: bool = False


class Watch:
    """One child's watch. The parent calls `look` when `next` has come, and when something has happened."""

    def __init__(self, pid: int, page: Page, output: Output, grace: float) -> None:
        self._pid = pid
        self._page = page
        self._output = output
        self._grace = grace
        self.order: Order | None = None
        self._rang = False
        #: When to look again, by `qm.clock.boottime`.
        self.next: float | None = None

    def ring(self) -> None:
        """The child's alarm has gone off: it is time to look."""
        self.next, self._rang = 0.0, True

    def look(self, now: float, cancelled: Collection[Lease] = ()) -> bool:
        """Does what is due. Gives whether the child has to be killed now."""
        task = self._page.running()
        if task is None:
            # once more, should the child have been about to start one that relies on this alarm
            self.order, self.next = None, now + _LOOK if self._rang else None
            self._rang = False
            return False
        self._rang = False
        if self.order is None or self.order.task[:2] != task[:2]:
            self.order = self._give_order(task, now, cancelled)
        if self.order is not None:
            return self._force(self.order, now)
        self._output.trim(self._page.written)
        self.next = min(task.deadline, now + _LOOK)
        return False

    def verdict(self, current: Lease | None) -> tuple[Outcome, bytes | None]:
        """How the child's death is to be told: crashed, or as the end of the task for which we killed it,
        with where that hung."""
        order = self.order
        if order is None or not order.killed or order.task.lease != current:
            return Outcome.CRASHED, None
        where = self._output.tail(order.dump or 0)
        if order.why is Outcome.TIMEOUT:
            name, what = "TimeLimitExceeded", f"over its limit of {order.task.limit:g} s"
        else:
            name, what = "Cancelled", "somebody cancelled the task"
        message = f"{what}; it did not stop within {self._grace:g} s and was killed"
        return order.why, pack_failure(Failure(name, message, where))

    def details(self, exitcode: int, peak_memory: int | None) -> Details:
        """What the flight recorder keeps of the task that ran when the child died."""
        log = self._output.tail(self._page.written)
        return Details(pid=self._pid, exitcode=exitcode, peak_memory=peak_memory, log=log)

    def _give_order(self, task: Running, now: float, cancelled: Collection[Lease]) -> Order | None:
        if task.lease in cancelled:
            why = Outcome.CANCELLED
        elif now >= task.deadline:
            why = Outcome.TIMEOUT
        else:
            return None
        self._page.order(task, why)
        return Order(why, task, now)

    def _force(self, order: Order, now: float) -> bool:
        end = order.since + self._grace
        if order.dump is not None and now >= end + _DUMP_SECONDS:
            self.order, self.next = order._replace(killed=True), None
            return True
        if order.dump is None and now >= end:
            self.order = order._replace(dump=self._output.position)
            self._signal(DUMP)
        elif order.dump is None:
            self._signal(RAISE)
        self.next = min(now + _AGAIN, end) if now < end else end + _DUMP_SECONDS
        return False

    def _signal(self, number: int) -> None:
        # it is dead, and reaped already: multiprocessing does that when it starts another child
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, number)
