"""Runs threads one at a time, from point to point, in an order that the test chooses.

A point is where another thread could come in between: before and after a transaction, before each step of
the takers' lines, and where a call sleeps.

The order is that of probabilistic concurrency testing (Burckhardt et al., 2010): the first in rank who can go
on does, and at a few steps the one who would have gone on falls to the last rank. A race that needs d threads
to stop at the wrong moment is found with d such falls, where a fair choice at each step hardly ever meets it.
Rank and falls are drawn by hypothesis, which repeats the order that breaks and makes it short.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Collection, Iterable
from typing import Any

import pytest

from qm.queue.sessions import Sessions
from qm.queue.waiter import Waiter
from qm.queue.wake import Takers
from tests.queue.bench import PATIENCE, PickyStore

#: Steps that others may come before. Each is atomic in itself.
STEPS: tuple[tuple[type, str], ...] = (
    (Takers, "park"),
    (Takers, "leave"),
    (Takers, "wake"),
    (Sessions, "enter"),
    (Sessions, "renew"),
    (Sessions, "bury"),
    (Sessions, "end"),
)


class Actor(threading.Thread):
    """A thread that goes on only when it is told to."""

    def __init__(self, name: str, work: Callable[[], Any], stopped: threading.Semaphore) -> None:
        super().__init__(name=name, daemon=True)
        self._work = work
        self._stopped = stopped
        self._go = threading.Semaphore(0)
        #: What it sleeps on, while it sleeps.
        self.waiter: Waiter | None = None
        self.answer: Any = None
        self.error: BaseException | None = None
        self.over = False

    def run(self) -> None:
        self._pause()
        try:
            self.answer = self._work()
        except BaseException as error:
            self.error = error
        self.over = True
        self._stopped.release()

    def point(self, waiter: Waiter | None = None) -> None:
        """Lets the test choose who goes on; with a waiter, only once that is awake."""
        self.waiter = waiter
        self._pause()
        self.waiter = None

    def step(self) -> None:
        """Goes on to its next point."""
        self._go.release()
        assert self._stopped.acquire(timeout=PATIENCE), f"{self.name} hangs"

    @property
    def can_go_on(self) -> bool:
        """Whether it is neither over nor asleep."""
        return not self.over and (self.waiter is None or not self.waiter._lock.locked())

    def _pause(self) -> None:
        self._stopped.release()
        assert self._go.acquire(timeout=PATIENCE)


class Stepper:
    """The actors of one test."""

    def __init__(self, store: PickyStore, patch: pytest.MonkeyPatch) -> None:
        self._stopped = threading.Semaphore(0)
        self.actors: list[Actor] = []
        store.before = store.after = self._point
        patch.setattr(Waiter, "sleep", self._sleep)
        for owner, name in STEPS:
            patch.setattr(owner, name, self._stepping(getattr(owner, name)))

    def add(self, name: str, work: Callable[[], Any]) -> Actor:
        """An actor, who begins when it is chosen."""
        actor = Actor(name, work, self._stopped)
        self.actors.append(actor)
        actor.start()
        assert self._stopped.acquire(timeout=PATIENCE)
        return actor

    def run(self, rank: Iterable[int] = (), falls: Collection[int] = ()) -> None:
        """Goes on until all are over or asleep. `rank`: the actors' numbers, first to last (there may be more
        numbers than actors); `falls`: the steps at which the one who would go on falls to the last rank."""
        numbers = dict.fromkeys([*rank, *range(len(self.actors))])
        ranked = [self.actors[number] for number in numbers if number < len(self.actors)]
        for step in itertools.count():
            able = [actor for actor in ranked if actor.can_go_on]
            if not able:
                return
            if step in falls:
                ranked.remove(able[0])
                ranked.append(able[0])
                able = able[1:] or able
            able[0].step()

    @staticmethod
    def _point(waiter: Waiter | None = None) -> None:
        actor = threading.current_thread()
        if isinstance(actor, Actor):
            actor.point(waiter)

    def _stepping(self, step: Callable[..., Any]) -> Callable[..., Any]:
        def stepped(*args: Any, **kwargs: Any) -> Any:
            self._point()
            return step(*args, **kwargs)

        return stepped

    @staticmethod
    def _sleep(waiter: Waiter, seconds: float) -> bool:
        Stepper._point(waiter)
        return waiter._lock.acquire(blocking=False)
