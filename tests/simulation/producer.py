"""A producer: adds tasks, and then cancels, requeues, forgets and reads them as it likes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qm.messages import Added, AddStatus, NewTask
from qm.testing.contract.samples import new
from tests.simulation.book import Book
from tests.simulation.child import POISON, TYPES
from tests.simulation.ledger import demand
from tests.simulation.network import Far, Line, Network
from tests.simulation.process import Process
from tests.simulation.world import World

#: Words about tasks that exist, and how likely each is.
WORDS = {"cancel": 3, "requeue": 2, "forget": 2, "get": 3}


class Producer(Process):
    """Adds so many tasks, in small batches, and speaks about them in between."""

    def __init__(
        self, world: World, network: Network, manager: Far, book: Book, name: str, tasks: int
    ) -> None:
        super().__init__(world)
        self._book = book
        self._line = Line(self, network, manager)
        self._left = [self._task(f"{name}-{number}") for number in range(tasks)]
        self._said: list[NewTask] = []
        self._silent = False
        self.after(0.5, self._speak)

    @property
    def done(self) -> bool:
        """Whether all its adds are acknowledged, and it is silent."""
        return not self._left and self._silent

    def _task(self, id_: str) -> NewTask:
        rng = self.world.rng
        return new(
            id_,
            rng.choice(TYPES),
            input_=POISON if rng.random() < 0.1 else id_.encode(),
            priority=rng.choice((0, 0, 0, 5, -5)),
            delay=rng.uniform(0.1, 20.0) if rng.random() < 0.2 else 0.0,
            attempts=rng.choice((None, None, 1, 2)),
            keep=rng.uniform(1.0, 20.0) if rng.random() < 0.1 else None,
        )

    def _speak(self) -> None:
        rng = self.world.rng
        if self._left and (not self._said or rng.random() < 0.5):
            self._add(self._left[: rng.randint(1, 4)])
        elif rng.random() < 0.1:
            self._add_other(rng.choice(self._said))
        else:
            (word,) = rng.choices(list(WORDS), list(WORDS.values()))
            self._say(word, [task.id for task in rng.sample(self._said, min(2, len(self._said)))])

    def _add(self, tasks: list[NewTask]) -> None:
        for task in tasks:
            if task.keep is not None:
                self._book.given_up.add(task.id)

        def added(answer: Added) -> None:
            fresh = {AddStatus.CREATED, AddStatus.DUPLICATE}
            demand(set(answer.statuses) <= fresh, "an add was answered", answer.statuses)
            del self._left[: len(tasks)]
            self._said += tasks
            for task in tasks:
                self._book.acknowledge(task)
            self._pause()

        self._line.call("add", lambda: (tasks,), added)

    def _add_other(self, task: NewTask) -> None:
        """The same id for another task."""
        other = new(task.id, task.type, input_=b"other")

        def added(answer: Added) -> None:
            demand(answer.statuses == [AddStatus.CONFLICT], "another task was answered", answer.statuses)
            self._pause()

        self._line.call("add", lambda: ([other],), added)

    def _say(self, word: str, ids: Sequence[str]) -> None:
        if word == "forget":
            self._book.given_up.update(ids)
        arguments: tuple[Any, ...] = (ids, 0) if word == "get" else (ids,)
        self._line.call(word, lambda: arguments, lambda _: self._pause())

    def _pause(self) -> None:
        self._silent = self.world.calm and not self._left
        if not self._silent:
            self.after(self.world.rng.expovariate(0.5), self._speak)
