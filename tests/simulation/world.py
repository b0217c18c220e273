"""Time, chance, and what happens next: the whole world in one thread, decided by one seed.

Nobody here sleeps and no clock ticks by itself. Things to happen stand on an agenda; the world takes the next
one, sets its clock to that moment, and lets it happen.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from typing import Final, TypeAlias

from qm.testing import FakeClock
from tests.simulation.ledger import demand
from tests.simulation.odds import CALM, Odds

Happening: TypeAlias = Callable[[], object]

#: Things that can happen in one moment. More is a loop that neither sleeps nor waits.
AT_ONCE: Final = 1000


class World:
    """The agenda, the clock and the dice. `trace` collects what happens, when somebody wants to read it."""

    def __init__(self, seed: int, *, traced: bool = False) -> None:
        self.rng = random.Random(seed)
        self.odds = Odds.draw(self.rng)
        self.clock = FakeClock()
        self.trace: list[str] | None = [] if traced else None
        #: Seconds since the world began.
        self.time = 0.0
        #: By how much the wall clock has been set forward, now and at most.
        self._skew = self._most_skew = 0.0
        self._agenda: list[tuple[float, int, Happening]] = []
        self._numbers = itertools.count()

    def after(self, seconds: float, happening: Happening) -> None:
        """Puts something on the agenda."""
        heapq.heappush(self._agenda, (self.time + seconds, next(self._numbers), happening))

    def run(self, until: float, done: Callable[[], bool] = lambda: False) -> None:
        """Lets things happen until a moment, or until it is done."""
        at_once = 0
        while self._agenda and not done():
            moment, _, happening = self._agenda[0]
            if moment > until:
                break
            at_once = at_once + 1 if moment <= self.time else 0
            demand(at_once < AT_ONCE, "somebody is busy without an end")
            heapq.heappop(self._agenda)
            self._pass(moment)
            happening()
        if not done():
            self._pass(until)

    def _pass(self, moment: float) -> None:
        self.clock.advance(max(0.0, moment - self.time))
        self.time = self.clock.monotonic()

    def calm_down(self) -> None:
        """From now on nothing goes wrong any more."""
        self.note("all faults end")
        self.odds = CALM
        self.jump(self._most_skew - self._skew)

    def jump(self, seconds: float) -> None:
        """Somebody sets the wall clock. When calm comes it is as far ahead as it ever was: nothing must
        wait for the hours by which it was set back."""
        self.note("the wall clock jumps by", seconds)
        self.clock.jump(seconds)
        self._skew += seconds
        self._most_skew = max(self._most_skew, self._skew)

    @property
    def calm(self) -> bool:
        """Whether all faults have ended."""
        return self.odds is CALM

    def chance(self, probability: float) -> bool:
        """Whether something of this probability happens now."""
        return probability > 0 and self.rng.random() < probability

    def note(self, *words: object) -> None:
        """A line of the trace."""
        if self.trace is not None:
            self.trace.append(f"{self.time:9.3f}  " + " ".join(map(str, words)))
