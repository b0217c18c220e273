"""How a parent finds out which of its children holds a task that somebody cancelled."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Final

from qm.task import Lease
from qm.worker.member import Member

#: Seconds until we look again, first and at most; doubled each time.
_PAUSE: Final = 0.1
_PAUSE_MAX: Final = 5.0


class Seeker:
    """Has cancelled tasks ended: what a child runs is interrupted; what it has not started goes back, and the
    manager ends it. A child may just be about to note what it got: so we look again, for as long as the
    manager says that the lease holds."""

    def __init__(self, free: Callable[[Member], None]) -> None:
        """`free` gives back what a child has not started, and has it hand in what has ended."""
        self._free = free
        self._pause = _PAUSE
        #: When to look again, by `qm.clock.boottime`.
        self.next: float | None = None

    def is_due(self, now: float) -> bool:
        """Whether it is time to look again."""
        return self.next is not None and now >= self.next

    def seek(
        self, now: float, cancelled: Collection[Lease], members: Sequence[Member], anew: bool = False
    ) -> None:
        """Looks for the leases. `anew`: there may be new ones among them."""
        for lease in cancelled:
            for member in members:
                if member.watch.order is None and member.holds(lease):
                    self._free(member)
                    member.watch.ring()
        self._pause = _PAUSE if anew else min(2 * self._pause, _PAUSE_MAX)
        self.next = now + self._pause if cancelled else None
