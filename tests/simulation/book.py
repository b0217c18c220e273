"""What clients and workers were told, and what that binds the queue to for ever.

Where the oracle compares every step, the book only knows what a user knows: these answers came, these tasks I
am running. It would judge any queue.
"""

from __future__ import annotations

from typing import Protocol

from qm.messages import Finish, NewTask, Settlement, Verdict
from qm.queue import Queue
from qm.task import Lease, State
from tests.simulation.ledger import demand


class Runner(Protocol):
    """A child, as far as its right to run a task goes."""

    @property
    def entitled(self) -> bool:
        """Whether it is alive and knows of no end of its session: what it runs is its own."""


class Book:
    """Acknowledgements, results, and who runs what."""

    def __init__(self) -> None:
        self.acknowledged: dict[str, NewTask] = {}
        #: Ids that somebody has begun to forget, or that go by themselves soon after their end.
        self.given_up: set[str] = set()
        self.results: dict[str, Finish] = {}
        self._runners: dict[str, list[tuple[Runner, Lease]]] = {}
        self.runs = 0

    def acknowledge(self, task: NewTask) -> None:
        """An add was answered: the task is safe."""
        self.acknowledged[task.id] = task

    def start(self, runner: Runner, lease: Lease) -> None:
        """User code begins. Nobody else who is entitled to may run the same task."""
        self.runs += 1
        others = [o for o in self._runners.get(lease.id, []) if o[0].entitled]
        demand(not others, lease, "begins, but the task runs already under", [held for _, held in others])
        demand(lease.id not in self.results, lease, "begins, but the task has a result already")
        self._runners[lease.id] = [*others, (runner, lease)]

    def stop(self, lease: Lease) -> None:
        """User code has ended."""
        self._runners[lease.id] = [other for other in self._runners[lease.id] if other[1] != lease]

    def hear(self, settlement: Settlement, verdict: Verdict) -> None:
        """A worker was told what became of what it said."""
        if isinstance(settlement, Finish) and verdict is not Verdict.LOST:
            known = self.results.setdefault(settlement.lease.id, settlement)
            demand(known == settlement, "two results were accepted:", known, settlement)

    def balance(self, queue: Queue) -> None:
        """At the end: what was acknowledged is there, and every accepted result stands."""
        got = queue.get(list(self.acknowledged))
        lost = [id_ for id_ in got.missing if id_ not in self.given_up]
        demand(not lost, "acknowledged and lost:", lost)
        for task in got.tasks:
            new = self.acknowledged[task.id]
            demand((task.type, task.input) == (new.type, new.input), "another task stands under", task.id)
            result = self.results.get(task.id)
            if result is not None:
                stands = task.state is State.DONE and task.output == result.output
                demand(stands, "an accepted result is gone:", result, "the task is", task.state, task.output)
