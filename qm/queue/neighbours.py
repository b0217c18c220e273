"""The other managers of a store: what they are told of our commits, and what we hear of theirs.

    commit ─► Core.tell ─► who waits here ─► what nobody here could use ─► hints ─► who waits there
                                                                            │
                     once a second: look ◄── what no hint has said ◄────────┘ may be lost

Each session is served by one manager: there its pool renews it, its slots take, and its term is judged. A
pool that comes to another manager attaches there, and is that one's from then on; this one lets it go when it
sees it. A manager that has its store alone has no neighbours.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from qm.clock import Clock
from qm.store.shared import Hints, Known, Other, Shared, Sight, Wants
from qm.task import State

if TYPE_CHECKING:
    from qm.queue.core import Core

_log = logging.getLogger(__name__)

#: Seconds between two looks, and at most until what a lost hint said is seen.
LOOK: Final = 1.0

#: Seconds without the store after which a manager that is not alone sends its pools to the others.
CUT_OFF: Final = 3.0

#: The store's clock is followed when ours is off by so many seconds: less may be the way of the answer.
_OFF: Final = 0.05


class StoreClock:
    """Wall-clock time as a shared store has it, so that managers on several hosts mean the same by it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset = 0.0

    def now(self) -> float:
        return self._clock.now() + self._offset

    def monotonic(self) -> float:
        return self._clock.monotonic()

    def follow(self, now: float) -> None:
        """`now` is the store's time of this moment."""
        if abs(now - self.now()) > _OFF:
            self._offset = now - self._clock.now()


class Neighbours:
    """One manager's dealings with the others. Thread-safe."""

    def __init__(self, core: Core, shared: Shared, clock: StoreClock) -> None:
        self._core = core
        self._shared = shared
        self._clock = clock
        #: What the others know that we want to hear of.
        self._wanted = Wants(False, False)
        self._next_look = 0.0
        #: When we looked last and saw something, by the monotonic clock.
        self._seen = core.clock.monotonic()
        #: The other managers by their numbers.
        self.others: Mapping[int, Other] = {}
        #: How many tasks have ended at others while we looked.
        self.ended = 0
        shared.listen_to(self._hear)

    @property
    def lead(self) -> bool:
        """Whether it is on us to do what one manager does for all."""
        return self._shared.leads

    @property
    def is_cut_off(self) -> bool:
        """Whether others may reach the store where we cannot, and count us as dead in a while."""
        return bool(self.others) and self._core.clock.monotonic() > self._seen + CUT_OFF

    def tell(self, hints: Hints) -> None:
        """Tells the others what we have committed."""
        self._shared.tell(hints)

    def want(self) -> None:
        """Says what we want to hear of, once calls are parked. Costs nothing where it is known."""
        wants = self._wants()
        if wants.hungry > self._wanted.hungry or wants.watching > self._wanted.watching:
            self._wanted = wants
            self._shared.want(wants)

    def look(self) -> None:
        """Looks at everything, if it is time. Raises `NotCommitted`."""
        monotonic = self._core.clock.monotonic()
        if monotonic < self._next_look:
            return
        self._next_look = monotonic + LOOK
        wants = self._wanted = self._wants()
        self._shared.look(wants, self._core.endings.told, self._see)
        self._seen = self._core.clock.monotonic()
        self._wake_takers()
        if pending := self._core.endings.pending():
            self._core.endings.wake(self._shared.ended(pending))

    def _wants(self) -> Wants:
        return Wants(bool(self._core.takers), bool(self._core.endings))

    def _see(self, sight: Sight) -> None:
        self._clock.follow(sight.now)
        self._see_others({other.number: other for other in sight.others})
        for session in self._core.sessions.let_go(sight.ours):
            _log.info("session %s is served by another manager, or gone", session)
        if sight.sessions is not None:
            self._see_sessions(sight.sessions)
        for session, lease in sight.cancelling:
            self._core.sessions.cancel(session, lease)

    def _see_others(self, others: Mapping[int, Other]) -> None:
        known, self.others = self.others, others
        if others.keys() != known.keys():
            names = sorted(other.name for other in others.values())
            _log.info(
                "this store has %s", f"other managers: {', '.join(names)}" if names else "no other manager"
            )
        self.ended += sum(one.ended - known.get(one.number, one).ended for one in others.values())

    def _see_sessions(self, known: Sequence[Known]) -> None:
        sessions, monotonic = self._core.sessions, self._core.clock.monotonic()
        for one in known:
            if one.ours and not sessions.knows(one.info.session):
                sessions.confirm(sessions.open(one.info, one.attached, monotonic))
                _log.info("session %s of %s is ours now", one.info.session, one.info.name)
        sessions.know([(one.info, one.attached) for one in known if not one.ours])

    def _wake_takers(self) -> None:
        for name, states in self._core.store.counts().items():
            if tasks := states.get(State.WAITING, 0):
                self._core.takers.wake(name, tasks)

    def _hear(self, hints: Hints) -> None:
        """In a thread of the store's: wakes, and does nothing that could wait."""
        core = self._core
        for name, tasks in hints.waiting.items():
            core.takers.wake(name, tasks)
        core.endings.wake(hints.ended)
        for session, lease in hints.cancelled:
            core.sessions.cancel(session, lease)
        if hints.moved:
            self._next_look = 0.0
        if hints.moved or hints.due is not None:
            core.nudge_timer()
