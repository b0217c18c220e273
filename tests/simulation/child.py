"""A child of a pool: exchanges outcomes for tasks and runs them, or dies of them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, Protocol

from qm.errors import QueueError, SessionLost
from qm.messages import Claim, Exchanged, Fail, Finish, Progress, Release, Retry, Settlement, Slot, Taken
from qm.task import Lease, Outcome
from tests.simulation.book import Book
from tests.simulation.network import Far, Line, Network
from tests.simulation.process import Process
from tests.simulation.world import World

TYPES = ["mail", "sms"]

#: The input of a task that kills whoever runs it.
POISON = b"poison"

#: Seconds between looks for tasks: from the first, doubled up to the last.
SOON, LATE = 0.5, 10.0


class Parent(Protocol):
    """The pool, as its children see it."""

    session_end: float
    draining: bool

    def child_died(self, child: Child, current: Lease | None, outcome: Outcome) -> None:
        """It is dead; this ran. Timeout or cancelled: the parent itself had to kill it."""

    def child_left(self, child: Child) -> None:
        """It has settled everything, and goes."""

    def may_free(self, child: Child) -> None:
        """It runs a task, and holds others that it has not started."""


class Child(Process):
    """One incarnation of a slot."""

    def __init__(
        self, world: World, network: Network, manager: Far, book: Book, parent: Parent, slot: Slot
    ) -> None:
        super().__init__(world)
        self.slot = slot
        self._book = book
        self._parent = parent
        self._line = Line(self, network, manager)
        self._early = Line(self, network, manager)
        self._calls = itertools.count()
        self._outcomes: list[Settlement] = []
        self._batch: list[Taken] = []
        self._place = 0
        #: What user code runs under.
        self._running: Lease | None = None
        self._pause = SOON
        self.after(world.rng.uniform(0.1, 2.0), self._exchange)  # it has to load its operations

    @property
    def entitled(self) -> bool:
        """See `book.Runner`."""
        return not self.dead and self.world.time < self._parent.session_end

    def stop(self, lease: Lease) -> None:
        """Somebody cancelled the task: it is stopped, or if it does not listen, killed with the child."""
        if self.dead or self._running != lease:
            return
        if self.world.chance(0.3):
            self._die(lease, Outcome.CANCELLED)
        else:
            self._settle(Fail(lease, b"stopped", outcome=Outcome.CANCELLED))

    def die(self) -> None:
        """Somebody kills it."""
        if not self.dead:
            self._die(self._running)

    def give_up_rest(self) -> list[Lease]:
        """What it has not started is no longer its own."""
        rest = [taken.lease for taken in self._batch[self._place + 1 :]]
        del self._batch[self._place + 1 :]
        return rest

    def _exchange(self) -> None:
        if self._parent.draining and not self._outcomes:
            self.kill()
            self._parent.child_left(self)
            return
        self._line.call("exchange", self._claim, self._heard, self._refused)
        if self.world.chance(self.world.odds.child_crash / 5):
            self._die(None)  # it has asked, and its call is still under way

    def _claim(self) -> tuple[Any, ...]:
        limit = 0 if self._parent.draining else 3
        claim = Claim(
            slot=self.slot, call=next(self._calls), holding=[], types=TYPES, limit=limit, share=True
        )
        return claim, list(self._outcomes), 0

    def _heard(self, answer: Exchanged) -> None:
        for outcome, verdict in zip(self._outcomes, answer.verdicts, strict=True):
            self._book.hear(outcome, verdict)
        self._outcomes.clear()
        self._batch, self._place = list(answer.tasks), 0
        if answer.tasks:
            self._pause = SOON
            self._go_on()
        else:
            self.after(self._pause, self._exchange)
            self._pause = min(2 * self._pause, LATE)

    def _refused(self, error: QueueError) -> None:
        if not isinstance(error, SessionLost):
            raise error
        self.after(SOON, self._exchange)  # the parent opens the session again

    def _go_on(self) -> None:
        while self._place < len(self._batch) and self.world.chance(self.world.odds.release / 2):
            self._outcomes.append(Release(self._batch[self._place].lease))
            self._place += 1
        if self._place == len(self._batch) or self.world.time >= self._parent.session_end:
            self._exchange()
            return
        lease = self._running = self._batch[self._place].lease
        self._book.start(self, lease)
        self._meanwhile(lease)
        self.after(self.world.rng.expovariate(0.7), lambda: self._end(lease))

    def _meanwhile(self, lease: Lease) -> None:
        """What else may be said while a task runs."""
        if self._place + 1 < len(self._batch) and self.world.chance(self.world.odds.release):
            self._parent.may_free(self)
        ended = [outcome for outcome in self._outcomes if isinstance(outcome, Finish)]
        if ended and self.world.chance(0.3):
            self._early.call("finish", lambda: (ended,), lambda verdicts: self._hear(ended, verdicts))
        elif self.world.chance(0.1):
            self._early.call("progress", lambda: ([Progress(lease, 0.5, "half")],), lambda _: None)

    def _hear(self, ended: Sequence[Settlement], verdicts: Sequence[Any]) -> None:
        for outcome, verdict in zip(ended, verdicts, strict=True):
            self._book.hear(outcome, verdict)

    def _end(self, lease: Lease) -> None:
        if self._running != lease:
            return  # it was stopped
        taken = self._batch[self._place]
        if taken.input == POISON or self.world.chance(self.world.odds.child_crash):
            self._die(taken.lease)
        elif self.world.chance(self.world.odds.failure / 5):
            self._die(taken.lease, Outcome.TIMEOUT)
        else:
            self._settle(self._outcome(taken))

    def _settle(self, outcome: Settlement) -> None:
        self._book.stop(outcome.lease)
        self._running = None
        self._outcomes.append(outcome)
        self._place += 1
        self._go_on()

    def _outcome(self, taken: Taken) -> Settlement:
        if not self.world.chance(self.world.odds.failure):
            return Finish(taken.lease, f"{taken.lease.attempt} by {self.slot.session}".encode())
        if self.world.chance(0.3):
            return Retry(taken.lease, b"again")
        return Fail(taken.lease, b"oops", retryable=self.world.chance(0.8))

    def _die(self, current: Lease | None, outcome: Outcome = Outcome.CRASHED) -> None:
        self.world.note("child", self.slot, "dies:", outcome, current)
        self.kill()
        self._parent.child_died(self, current, outcome)
