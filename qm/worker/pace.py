"""How many tasks a child asks for at once: some tens of milliseconds of work.

Long enough that the round trip and the commit hardly count, short enough that no task waits long behind
others. It starts at one, doubles at most, and falls at once when tasks turn out to be long.
"""

from __future__ import annotations

from typing import Final

#: Seconds of work to ask for.
_AIM: Final = 0.03

#: How much the last batch counts against those before it.
_WEIGHT: Final = 0.3


class Pace:
    """The size of the next batch, from the length of the last ones. `most` bounds it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._size = 1
        self._mean: float | None = None

    @property
    def size(self) -> int:
        """How many tasks to ask for."""
        return self._size

    def note(self, tasks: int, seconds: float) -> None:
        """A batch of `tasks` took so long."""
        if tasks < 1:
            return
        each = seconds / tasks
        if self._mean is None or each > self._mean * 4:
            self._mean = each  # a sudden long task: believe it at once
        else:
            self._mean += _WEIGHT * (each - self._mean)
        wanted = min(_AIM / self._mean, self._most) if self._mean > 0 else self._most
        self._size = max(1, min(int(wanted), 2 * self._size))
