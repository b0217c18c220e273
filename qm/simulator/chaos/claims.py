"""What is known of the claims to one task, and what is wrong with them. Pure.

Each claim has a number of its own, the attempt, and the next one is given only when the last has ended. So
two workers have a task by right only where the first lease was taken back: it has a recorded end then, and
nothing that it says of the task counts any more.

What a manager only gives is not synced to the disk: a crash of the database may forget it, and the same
number is given again. That is undone, not double: the first worker's lease does not hold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from msgspec import Struct, field

from qm.simulator.chaos.journal import Claimed, Crashed, Left, Started
from qm.task import ENDED


class Claims(Struct):
    """The claims to one task, in any order."""

    #: Those of one number, by it: each lease's token with the workers to whom it was given.
    given: dict[int, dict[int, set[str]]] = field(default_factory=dict)
    #: Between which moments these were given.
    times: dict[int, tuple[float, float]] = field(default_factory=dict)
    #: How often user code began under a number.
    started: Counter[int] = field(default_factory=Counter)

    def hear(self, event: Claimed | Started) -> None:
        """Takes in that it was given to somebody, or that somebody began."""
        number = event.attempt
        if isinstance(event, Started):
            self.started[number] += 1
            return
        self.given.setdefault(number, {}).setdefault(event.token, set()).add(event.slot)
        first, last = self.times.get(number, (event.asked, event.answered))
        self.times[number] = (min(first, event.asked), max(last, event.answered))

    @property
    def leases(self) -> int:
        """How many leases were given."""
        return sum(map(len, self.given.values()))

    def undone(self, crashes: Sequence[Crashed]) -> int:
        """How many leases a crash of the database forgot."""
        return sum(len(leases) - 1 for number, leases in self.given.items() if self._forgot(number, crashes))

    def wrong(self, crashes: Sequence[Crashed], left: Left | None) -> Iterator[str]:
        """What is wrong, in words."""
        for number, leases in self.given.items():
            if any(len(workers) > 1 for workers in leases.values()):
                yield f"the lease of attempt {number} was given to two workers"
            if len(leases) > 1 and not self._forgot(number, crashes):
                yield f"attempt {number} was given {len(leases)} times"
        for number, times in self.started.items():
            if times > max(1, len(self.given.get(number, ()))):
                yield f"attempt {number} was begun {times} times"
        if left is not None and left.recorded is not None:
            ended = left.attempt if left.state in ENDED else left.attempt - 1
            if left.recorded < ended:
                yield f"it was given {left.attempt} times, and only {left.recorded} of these have an end"

    def _forgot(self, number: int, crashes: Sequence[Crashed]) -> bool:
        """Whether a crash can have forgotten one of the leases with this number."""
        first, last = self.times[number]
        return len(self.given[number]) > 1 and any(c.began <= last and c.ended >= first for c in crashes)
