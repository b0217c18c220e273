"""How many tasks end per second now: the slope over the looks of the last seconds."""

from __future__ import annotations

from collections import deque
from typing import Final

#: Seconds over which the slope is taken: a number that people read must not jump with every commit.
WINDOW: Final = 10.0

#: Seconds that looks must lie apart, so that two in a moment do not make a thousand of one task.
_SPAN_MIN: Final = 1.0


class Rate:
    """The looks of the last seconds. Used by one thread at a time."""

    def __init__(self) -> None:
        self._looks: deque[tuple[float, int]] = deque()
        self._started: float | None = None

    def note(self, at: float, started: float, ended: int) -> float | None:
        """A look at `at` (monotonic seconds) at a manager that started at `started` and has seen so many
        tasks end. Gives tasks per second; None where that is not known yet."""
        if self._started != started or (self._looks and ended < self._looks[-1][1]):
            self._looks.clear()  # another run of the manager: it counts from zero again
            self._started = started
        self._looks.append((at, ended))
        while self._looks[0][0] < at - WINDOW:
            self._looks.popleft()
        first, before = self._looks[0]
        return (ended - before) / (at - first) if at - first >= _SPAN_MIN else None
