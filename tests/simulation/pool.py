"""A pool's parent: its session, its children, and the reports of their deaths."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from qm.errors import QueueError, SessionLost
from qm.messages import Attached, Crash, Orders, Release, Slot, TypeOptions, WorkerInfo
from qm.task import Lease, Outcome
from tests.simulation.book import Book
from tests.simulation.child import TYPES, Child
from tests.simulation.network import Far, Line, Network
from tests.simulation.process import Process
from tests.simulation.world import World

#: What the types say of themselves: one leaves all to the defaults.
OPTIONS = {TYPES[0]: TypeOptions(attempts=3), TYPES[1]: TypeOptions()}

#: Seconds between two renewals; a third of the term.
RENEW = 10.0


class Pool(Process):
    """From its start until it vanishes or leaves."""

    def __init__(
        self, world: World, network: Network, manager: Far, book: Book, name: str, processes: int
    ) -> None:
        super().__init__(world)
        self.name = name
        self._network = network
        self._manager = manager
        self._book = book
        self._info = WorkerInfo(session=name, host=name, pid=1, processes=processes, types=OPTIONS)
        self._line = Line(self, network, manager)
        self._courier = Line(self, network, manager)
        self._reports: deque[tuple[str, tuple[Any, ...]]] = deque()
        self._incarnations = itertools.count()
        self._sent = 0.0
        self._term = 0.0
        self.children: list[Child] = []
        #: Until when its session lives, as it knows.
        self.session_end = 0.0
        self.draining = False
        self._attach(self._begin)

    def freeze(self, seconds: float) -> None:
        """The whole host stands still."""
        super().freeze(seconds)
        for child in self.children:
            child.freeze(seconds)

    def kill(self) -> None:
        """The whole host is gone."""
        super().kill()
        for child in self.children:
            child.kill()

    def drain(self) -> None:
        """It is asked to leave: lets what runs end, then says good-bye."""
        if not self.draining:
            self.draining = True
            self._report("renew", (self._info.session, 0, True))
            self._leave_when_empty()

    def lose_a_child(self) -> None:
        """One of its children is killed, whatever it does just now."""
        if self.children:
            self.world.rng.choice(self.children).die()

    def child_died(self, child: Child, current: Lease | None, outcome: Outcome) -> None:
        """See `child.Parent`: notices it, says so, and starts another."""
        crash = Crash(slot=child.slot, exitcode=-11, current=current, outcome=outcome)
        self.after(0.05, lambda: self._bury(child, crash))

    def child_left(self, child: Child) -> None:
        """See `child.Parent`."""
        self.children.remove(child)
        self._leave_when_empty()

    def may_free(self, child: Child) -> None:
        """See `child.Parent`: its batch takes too long."""
        rest = child.give_up_rest()
        self._report("release", ([Release(lease) for lease in rest],))

    def _attach(self, then: Callable[[], object]) -> None:
        def attached(answer: Attached) -> None:
            self._term = answer.term
            self.session_end = self._sent + self._term
            then()

        self._line.call("attach", lambda: (self._now(self._info),), attached)

    def _begin(self) -> None:
        for index in range(self._info.processes):
            self._spawn(index)
        self.after(RENEW, self._renew)

    def _renew(self) -> None:
        def renewed(orders: Orders) -> None:
            self.session_end = self._sent + self._term
            for lease in orders.cancel:
                for child in list(self.children):
                    child.do(partial(child.stop, lease))
            self.after(RENEW, self._renew)

        def refused(error: QueueError) -> None:
            if not isinstance(error, SessionLost):
                raise error
            self._attach(self._renew)

        self._line.call("renew", lambda: (self._now(self._info.session), 0, self.draining), renewed, refused)

    def _now(self, argument: Any) -> Any:
        """An argument of a call that is sent now: the term counts from here."""
        self._sent = self.world.time
        return argument

    def _spawn(self, index: int) -> None:
        slot = Slot(self._info.session, index, next(self._incarnations))
        self.children.append(Child(self.world, self._network, self._manager, self._book, self, slot))

    def _bury(self, child: Child, crash: Crash) -> None:
        self.children.remove(child)
        self._report("crashed", (crash,))
        if self.draining:
            self._leave_when_empty()
        else:
            self._spawn(child.slot.index)

    def _leave_when_empty(self) -> None:
        if self.draining and not self.children:
            self._report("detach", (self._info.session,))

    def _report(self, verb: str, arguments: tuple[Any, ...]) -> None:
        """The courier says one thing after the other, each until it is heard."""
        self._reports.append((verb, arguments))
        if len(self._reports) == 1:
            self._say_next()

    def _say_next(self) -> None:
        verb, arguments = self._reports[0]
        self._courier.call(verb, lambda: arguments, lambda _: self._said(verb), lambda _: self._said(verb))

    def _said(self, verb: str) -> None:
        self._reports.popleft()
        if verb == "detach":
            self.kill()
        elif self._reports:
            self._say_next()
