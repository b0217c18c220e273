"""What a parent and its child tell each other without a system call: a small file in memory, mapped by both.

The child writes which leases it holds, which of them it runs and since when; the parent reads it when the
child is dead or deaf. The parent writes until when the session lives, whether to stop, and which task must
end; the child reads it between tasks, and when a signal interrupts one. Every field has one writer. Numbers
are aligned and written whole, so that neither side sees half of one.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Sequence
from multiprocessing import reduction
from typing import Any, Final, NamedTuple

from qm.limits import TAKE_MAX
from qm.task import Lease, Outcome

_LEASE: Final = struct.Struct("@64sIxxxxqd")

#: Offsets in 8 bytes, of fractions and counts that need as many. The parent's fields and the child's are in
#: cache lines of their own.
_SESSION_END: Final = 0
_STARTED: Final = 11
_WRITTEN: Final = 12

#: Offsets in 4 bytes, of all others.
_DRAINING: Final = 2
_REVOKED: Final = 3
_ORDER: Final = 4
_ORDER_BATCH: Final = 5
_ORDER_PLACE: Final = 6
_MANAGER: Final = 7
_BATCH: Final = 16
_HELD: Final = 17
_PLACE: Final = 18
_RUNNING: Final = 19

#: The last number of a batch: after it comes 1 again, since 0 is "none was ever revoked".
_BATCH_MAX: Final = 2**31 - 1

#: Offset in bytes.
_AT_LEASES: Final = 128

_SIZE: Final = _AT_LEASES + TAKE_MAX * _LEASE.size

#: How often the parent reads what the child changes meanwhile.
_TRIES: Final = 3

#: The parent's orders, as numbers.
_ORDERS: Final = (None, Outcome.TIMEOUT, Outcome.CANCELLED)


class Running(NamedTuple):
    """The task that a child runs: which of which batch, since when, and for how many seconds it may."""

    batch: int
    place: int
    lease: Lease
    #: By `qm.clock.boottime`.
    started: float
    #: 0: as long as it likes.
    limit: float

    @property
    def deadline(self) -> float:
        """When its time is over, by `qm.clock.boottime`."""
        return self.started + self.limit if self.limit > 0 else float("inf")


class Page:
    """One child's page. Made by the parent; passed to the spawned child as a descriptor, not by name."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._map = mmap.mmap(fd, _SIZE)
        # one store each: struct would clear a field before it writes it
        view = memoryview(self._map)[:_AT_LEASES]
        self._ints = view.cast("i")
        self._longs = view.cast("q")
        self._floats = view.cast("d")

    @classmethod
    def create(cls) -> Page:
        """A fresh page: nothing held."""
        fd = os.memfd_create("qmworker-page", os.MFD_CLOEXEC)
        try:
            os.ftruncate(fd, _SIZE)
            return cls(fd)
        except BaseException:  # the map takes another descriptor
            os.close(fd)
            raise

    def __reduce__(self) -> tuple[Any, ...]:
        return _attach, (reduction.DupFd(self._fd),)

    def sent(self) -> None:
        """The child has its descriptor: ours is not needed any more. The memory goes with the last of us."""
        os.close(self._fd)

    # The parent's fields.

    @property
    def session_end(self) -> float:
        """Until when the session lives for sure, by `qm.clock.boottime`; 0 before it was attached."""
        return self._floats[_SESSION_END]

    @session_end.setter
    def session_end(self, moment: float) -> None:
        self._floats[_SESSION_END] = moment

    @property
    def manager(self) -> int:
        """The place, among the pool's addresses, of the manager at which the session is attached."""
        return self._ints[_MANAGER]

    @manager.setter
    def manager(self, place: int) -> None:
        self._ints[_MANAGER] = place

    @property
    def draining(self) -> bool:
        """Whether the child should finish what it runs, take nothing more, and leave."""
        return bool(self._ints[_DRAINING])

    def drain(self) -> None:
        """Tells the child to leave."""
        self._ints[_DRAINING] = 1

    def revoke(self) -> int:
        """Takes back what the child's batch has not started. Gives the batch's number: a few milliseconds
        later, `unstarted` says what that is."""
        batch = self._ints[_BATCH]
        self._ints[_REVOKED] = batch
        return batch

    def unstarted(self, batch: int) -> list[Lease]:
        """The leases of the revoked batch that the child will not start any more."""
        held, place = self.held(), self._ints[_PLACE]
        return held[place + 1 :] if self._ints[_BATCH] == batch else []

    def order(self, task: Running, why: Outcome) -> None:
        """This task must end: it is over its time (timeout), or was cancelled. The child looks when a signal
        interrupts it."""
        self._ints[_ORDER] = 0
        self._ints[_ORDER_BATCH] = task.batch
        self._ints[_ORDER_PLACE] = task.place
        self._ints[_ORDER] = _ORDERS.index(why)

    def ordered(self) -> Outcome | None:
        """Why the task that runs must end; None where it need not, or nothing runs."""
        ints = self._ints
        named = (ints[_ORDER_BATCH], ints[_ORDER_PLACE]) == (ints[_BATCH], ints[_PLACE])
        return _ORDERS[ints[_ORDER]] if named and ints[_RUNNING] else None

    # The child's fields.

    def hold(self, leases: Sequence[Lease], limits: Sequence[float] = ()) -> None:
        """A new batch: these leases are held, and none has been started. `limits`: seconds that each may run,
        0 for as long as it likes."""
        # the number first: a parent that reads half of the old batch and half of this one then knows it
        ints = self._ints
        ints[_BATCH] = ints[_BATCH] + 1 if ints[_BATCH] < _BATCH_MAX else 1
        ints[_RUNNING] = 0
        ints[_HELD] = 0
        ints[_PLACE] = -1
        for place, lease in enumerate(leases):
            at = _AT_LEASES + place * _LEASE.size
            limit = limits[place] if limits else 0.0
            _LEASE.pack_into(self._map, at, lease.id.encode("ascii"), lease.attempt, lease.token, limit)
        ints[_HELD] = len(leases)

    def start_running(self, place: int, now: float = 0.0) -> bool:
        """The held lease at `place` is about to enter user code. False: the batch was revoked, it must not.

        Said first and asked then: when the parent, having revoked, looks some milliseconds later, it sees
        whatever was started before the child could know.
        """
        ints = self._ints
        self._floats[_STARTED] = now
        ints[_PLACE] = place
        ints[_RUNNING] = 1
        if ints[_REVOKED] == ints[_BATCH]:
            ints[_RUNNING] = 0
            return False
        return True

    def stop_running(self) -> None:
        """User code has returned."""
        self._ints[_RUNNING] = 0

    @property
    def written(self) -> int:
        """Where in its output the current task began to write: see `qm.worker.output`."""
        return self._longs[_WRITTEN]

    @written.setter
    def written(self, position: int) -> None:
        self._longs[_WRITTEN] = position

    def held(self) -> list[Lease]:
        """The leases of the child's batch, settled ones included."""
        return [self._lease(place)[0] for place in range(self._held())]

    def running(self) -> Running | None:
        """The task whose user code runs, or ran when the child died."""
        ints = self._ints
        for _ in range(_TRIES):
            batch, place = ints[_BATCH], ints[_PLACE]
            if not ints[_RUNNING] or not 0 <= place < self._held():
                return None
            lease, limit = self._lease(place)
            found = Running(batch, place, lease, self._floats[_STARTED], limit)
            if (ints[_BATCH], ints[_PLACE], ints[_RUNNING]) == (batch, place, 1):
                return found
        return None  # it goes from one task to the next faster than we read

    @property
    def place(self) -> int:
        """The place of the last task of the batch that was started; -1 before."""
        return self._ints[_PLACE]

    def current(self) -> Lease | None:
        """The lease of the task whose user code runs, or ran when the child died."""
        task = self.running()
        return task.lease if task else None

    def suspect(self) -> Lease | None:
        """The lease that a death of the child is charged to: of the task that runs, else of the last that ran
        in the batch. It may have left a thread that kills, or have closed what the child settles by; were
        nobody charged, it would come back uncounted, to the next child, for ever. Once settled it holds no
        more."""
        place = self._ints[_PLACE]
        return self._lease(place)[0] if 0 <= place < self._held() else None

    def _held(self) -> int:
        return min(max(self._ints[_HELD], 0), TAKE_MAX)

    def _lease(self, place: int) -> tuple[Lease, float]:
        id_, attempt, token, limit = _LEASE.unpack_from(self._map, _AT_LEASES + place * _LEASE.size)
        return Lease(id_.rstrip(b"\0").decode("ascii"), attempt, token), limit


def _attach(duplicate: Any) -> Page:
    page = Page(duplicate.detach())
    page.sent()
    return page
