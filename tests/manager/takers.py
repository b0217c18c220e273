"""A look at who is parked, without looking again and again."""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue

from qm.queue.wake import Parked
from tests.manager.serving import Managed
from tests.wire.peers import PATIENCE


class Takers:
    """Notes who parks and who leaves at a manager's queue; to be made before the first one parks."""

    def __init__(self, manager: Managed) -> None:
        self._parked: SimpleQueue[Parked] = SimpleQueue()
        self._left: SimpleQueue[Parked] = SimpleQueue()
        self._before: dict[Parked, Callable[[Parked], None]] = {}
        takers = manager.queue.core.takers
        park, leave = takers.park, takers.leave

        def noted_park(parked: Parked) -> str | None:
            woken_for = park(parked)
            self._parked.put(parked)
            return woken_for

        def noted_leave(parked: Parked) -> None:
            if parked in self._before:
                self._before[parked](parked)
            leave(parked)
            self._left.put(parked)

        takers.park, takers.leave = noted_park, noted_leave  # type: ignore[method-assign]

    def parked(self) -> Parked:
        """The next one that has parked."""
        return self._parked.get(timeout=PATIENCE)

    def left(self) -> Parked:
        """The next one that has left."""
        return self._left.get(timeout=PATIENCE)

    def before_leaving(self, parked: Parked, act: Callable[[Parked], None]) -> None:
        """Does something in the thread of `parked` when it is about to leave."""
        self._before[parked] = act
