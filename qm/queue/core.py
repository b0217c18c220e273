"""What all steps share."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable

from qm.clock import Clock
from qm.errors import Draining
from qm.queue.commit import Commit
from qm.queue.neighbours import Neighbours, StoreClock
from qm.queue.sessions import Sessions
from qm.queue.wake import Endings, Takers
from qm.store.base import Store
from qm.store.shared import Hints


class Effects:
    """What a commit means for those who wait; told after it, never before."""

    def __init__(self) -> None:
        #: Ids of tasks that ended.
        self.ended: list[str] = []
        #: New waiting tasks by type.
        self.waiting: Counter[str] = Counter()
        #: The earliest due time among tasks that became scheduled.
        self.due: float | None = None

    def scheduled(self, at: float) -> None:
        """A task will be due at `at`."""
        self.due = at if self.due is None else min(self.due, at)


class Core:
    """The store and its gate, the clock, and who waits for what. Owned by `Queue`; steps borrow it."""

    def __init__(self, store: Store, clock: Clock, draw: Callable[[], float] = random.random) -> None:
        self.store = store
        shared = store.shared
        #: Wall-clock time is the store's, where managers share it.
        self.clock: Clock = StoreClock(clock) if shared is not None else clock
        self.commit = Commit(store)
        self.takers = Takers()
        self.endings = Endings()
        self.sessions = Sessions()
        #: Numbers in [0, 1) for the jitter of retries.
        self.draw = draw
        self.started = clock.now()
        #: Types of which the log has said that nobody serves them.
        self.told_unserved: set[str] = set()
        self._draining = threading.Event()
        self._nudge = threading.Event()
        #: The other managers of the store; None: there can be none.
        self.neighbours: Neighbours | None = None
        if shared is not None and isinstance(self.clock, StoreClock):
            self.neighbours = Neighbours(self, shared, self.clock)

    def tell(self, effects: Effects) -> None:
        """Wakes those whom a commit concerns."""
        if effects.ended:
            self.endings.tell(effects.ended)
        left = {name: self.takers.wake(name, tasks) for name, tasks in effects.waiting.items()}
        if effects.due is not None:
            self.nudge_timer()
        if self.neighbours is not None:
            waiting = {name: tasks for name, tasks in left.items() if tasks > 0}
            self.neighbours.tell(Hints(waiting=waiting, ended=effects.ended, due=effects.due))

    def nudge_timer(self) -> None:
        """Something may be due earlier than the timer knows."""
        self._nudge.set()

    def sleep_until_nudged(self, seconds: float) -> None:
        """The timer's sleep."""
        self._nudge.wait(seconds)
        self._nudge.clear()

    @property
    def draining(self) -> bool:
        """Whether the queue is stopping: no adds, no takes, no waits any more."""
        return self._draining.is_set()

    def drain(self) -> None:
        """Begins to stop, and ends all waits. Settlements are still taken."""
        self._draining.set()
        self.takers.wake_all()
        self.endings.wake_all()
        self.sessions.wake_all()
        self.nudge_timer()

    def refuse_if_draining(self) -> None:
        """Raises `Draining` while the queue is stopping."""
        if self.draining:
            raise Draining("the manager is stopping", hint="try again when it is back")
