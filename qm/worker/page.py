"""What a parent and its child tell each other without a system call: a small file in memory, mapped by both.

The child writes which leases it holds and which of them it runs; the parent reads it when the child is dead
or deaf. The parent writes until when the session lives and whether to stop; the child reads it between tasks.
Every field has one writer. Numbers are aligned, so that neither side sees half of one.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Sequence
from multiprocessing import reduction
from typing import Any, Final

from qm.limits import TAKE_MAX
from qm.task import Lease

_SESSION_END: Final = struct.Struct("@d")
_FLAG: Final = struct.Struct("@B")
_INT: Final = struct.Struct("@i")
_LEASE: Final = struct.Struct("@64sIxxxxq")

#: Offsets: the parent's fields and the child's are in cache lines of their own.
_AT_SESSION_END: Final = 0
_AT_DRAINING: Final = 8
_AT_REVOKED: Final = 12
_AT_BATCH: Final = 64
_AT_HELD: Final = 68
_AT_PLACE: Final = 72
_AT_RUNNING: Final = 76
_AT_LEASES: Final = 128

_SIZE: Final = _AT_LEASES + TAKE_MAX * _LEASE.size


class Page:
    """One child's page. Made by the parent; passed to the spawned child as a descriptor, not by name."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._map = mmap.mmap(fd, _SIZE)

    @classmethod
    def create(cls) -> Page:
        """A fresh page: nothing held."""
        fd = os.memfd_create("qmworker-page", os.MFD_CLOEXEC)
        os.ftruncate(fd, _SIZE)
        return cls(fd)

    def __reduce__(self) -> tuple[Any, ...]:
        return _attach, (reduction.DupFd(self._fd),)

    def sent(self) -> None:
        """The child has its descriptor: ours is not needed any more. The memory goes with the last of us."""
        os.close(self._fd)

    # The parent's fields.

    @property
    def session_end(self) -> float:
        """Until when the session lives for sure, by `qm.clock.boottime`; 0 before it was attached."""
        value: float = _SESSION_END.unpack_from(self._map, _AT_SESSION_END)[0]
        return value

    @session_end.setter
    def session_end(self, moment: float) -> None:
        _SESSION_END.pack_into(self._map, _AT_SESSION_END, moment)

    @property
    def draining(self) -> bool:
        """Whether the child should finish what it runs, take nothing more, and leave."""
        return bool(_FLAG.unpack_from(self._map, _AT_DRAINING)[0])

    def drain(self) -> None:
        """Tells the child to leave."""
        _FLAG.pack_into(self._map, _AT_DRAINING, 1)

    def revoke(self) -> int:
        """Takes back what the child's batch has not started. Gives the batch's number: a few milliseconds
        later, `unstarted` says what that is."""
        batch = self._int(_AT_BATCH)
        _INT.pack_into(self._map, _AT_REVOKED, batch)
        return batch

    def unstarted(self, batch: int) -> list[Lease]:
        """The leases of the revoked batch that the child will not start any more."""
        held, place = self.held(), self._int(_AT_PLACE)
        return held[place + 1 :] if self._int(_AT_BATCH) == batch else []

    # The child's fields.

    def hold(self, leases: Sequence[Lease]) -> None:
        """A new batch: these leases are held, and none has been started."""
        # the number first: a parent that reads half of the old batch and half of this one then knows it
        _INT.pack_into(self._map, _AT_BATCH, self._int(_AT_BATCH) + 1)
        _INT.pack_into(self._map, _AT_RUNNING, 0)
        _INT.pack_into(self._map, _AT_HELD, 0)
        _INT.pack_into(self._map, _AT_PLACE, -1)
        for place, lease in enumerate(leases):
            at = _AT_LEASES + place * _LEASE.size
            _LEASE.pack_into(self._map, at, lease.id.encode("ascii"), lease.attempt, lease.token)
        _INT.pack_into(self._map, _AT_HELD, len(leases))

    def start_running(self, place: int) -> bool:
        """The held lease at `place` is about to enter user code. False: the batch was revoked, it must not.

        Said first and asked then: when the parent, having revoked, looks some milliseconds later, it sees
        whatever was started before the child could know.
        """
        _INT.pack_into(self._map, _AT_PLACE, place)
        _INT.pack_into(self._map, _AT_RUNNING, 1)
        if self._int(_AT_REVOKED) == self._int(_AT_BATCH):
            self.stop_running()
            return False
        return True

    def stop_running(self) -> None:
        """User code has returned."""
        _INT.pack_into(self._map, _AT_RUNNING, 0)

    def held(self) -> list[Lease]:
        """The leases of the child's batch, settled ones included."""
        return [self._lease(place) for place in range(self._held())]

    def current(self) -> Lease | None:
        """The lease whose user code runs, or ran when the child died."""
        place = self._int(_AT_PLACE)
        return self._lease(place) if self._int(_AT_RUNNING) and 0 <= place < self._held() else None

    def _int(self, at: int) -> int:
        value: int = _INT.unpack_from(self._map, at)[0]
        return value

    def _held(self) -> int:
        return min(max(self._int(_AT_HELD), 0), TAKE_MAX)

    def _lease(self, place: int) -> Lease:
        id_, attempt, token = _LEASE.unpack_from(self._map, _AT_LEASES + place * _LEASE.size)
        return Lease(id_.rstrip(b"\0").decode("ascii"), attempt, token)


def _attach(duplicate: Any) -> Page:
    page = Page(duplicate.detach())
    page.sent()
    return page
