"""Knows what must be true, from outside: what the manager was told, what it answered, and what it shows.

It shares no code with the queue and never looks into the store: it keeps a ledger of its own, applies to it
what each verb must do, and compares that with every answer and, again and again, with what readers see.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qm.clock import Clock
from qm.errors import QueueError
from qm.messages import ListQuery
from qm.queue import Queue
from qm.task import Counts, PackedTask, State
from tests.simulation.ledger import Ledger, Record, demand
from tests.simulation.timing import Timing
from tests.simulation.verbs import Verbs

#: Every so many calls all tasks are read and compared.
LOOK = 8


class Oracle:
    """Raises `Violation` as soon as something is not as it must be."""

    def __init__(self, clock: Clock) -> None:
        self.ledger = Ledger()
        self.seen = self.ledger.seen
        self.calls = 0
        self._clock = clock
        self._verbs = Verbs(self.ledger, clock)
        self._timing = Timing(self.ledger, clock)
        self._queue: Queue

    def restarted(self, queue: Queue) -> None:
        """A manager has started over what there is: known sessions have one fresh term."""
        self._queue = queue
        self.seen["restarted"] += 1
        if self._timing.unsure:
            self._timing.find_out(queue)
        self.ledger.sessions.clear()
        for info in self.ledger.stored.values():
            self.ledger.open(info, self._clock.monotonic())
            self.ledger.sessions[info.session].stored = True
        self.compare()

    def crashed(self) -> None:
        """The manager is dead: what it only remembered is gone."""
        self.ledger.sessions.clear()

    def answered(self, verb: str, arguments: Sequence[Any], answer: Any) -> None:
        """A call was carried out and answered so (also if nobody has heard the answer)."""
        self._verbs.answered(verb, arguments, answer)
        self.calls += 1
        if verb == "get":
            for task in answer.tasks:
                self._compare_task(self.ledger.tasks[task.id], task)
        elif verb not in ("renew", "progress", "status"):
            self._read_what_was_decided()
        if self.calls % LOOK == 0:
            self.compare()

    def refused(self, verb: str, arguments: Sequence[Any], error: QueueError) -> None:
        """A call has failed, and has changed nothing."""
        self._verbs.refused(verb, arguments, error)
        self.compare()

    def forgiven(self, late: float) -> None:
        """The timer has woken so many seconds late."""
        self._timing.forgive(late)

    def ticked(self, queue: Queue | None, *, whole: bool = False) -> None:
        """The timer has done what was due; or a part of it; or (no queue) its manager died meanwhile."""
        if whole:
            self._timing.tick()
            return
        self._timing.break_off()
        if queue is not None:
            self._timing.find_out(queue)
            self.compare()

    def compare(self) -> None:
        """All tasks, counts and sessions are as they must be."""
        tasks = self.ledger.tasks
        self._read_what_was_decided()
        got = self._queue.get([*tasks, *self.ledger.gone])
        demand(set(got.missing) == set(self.ledger.gone), "missing:", got.missing)
        for task in got.tasks:
            self._compare_task(tasks[task.id], task)
        self._compare_counts()
        workers = {worker.session for worker in self._queue.status().workers}
        known = {key for key, session in self.ledger.sessions.items() if not session.ended}
        demand(workers == known, "open are the sessions", workers, "not", known)

    def compare_lists(self) -> None:
        """Every task is listed once, under its state; what waits in its order."""
        for state in State:
            listed: list[str] = []
            page = None
            while page is None or page.next is not None:
                page = self._queue.list(
                    ListQuery(states=(state,), limit=7, cursor=page.next if page else None)
                )
                listed += [task.id for task in page.tasks]
            due = {id_ for id_, record in self.ledger.tasks.items() if record.state is state}
            demand(sorted(listed) == sorted(due), "listed as", state, "are", listed, "not", due)

    def _compare_task(self, record: Record, task: PackedTask) -> None:
        for name in ("state", "attempt", "failures", "crashes", "lost", "output"):
            seen, due = getattr(task, name), getattr(record, name)
            demand(seen == due, "the", name, "of", task.id, "is", seen, "not", due)
        new = record.new
        kept = (task.type, task.input, task.priority)
        demand(kept == (new.type, new.input, new.priority), new.id, "has become another task:", kept)
        demand(task.state is not State.FAILED or task.reason, new.id, "has failed without a reason")

    def _compare_counts(self) -> None:
        counted: dict[str, dict[State, int]] = {}
        for record in self.ledger.tasks.values():
            by_state = counted.setdefault(record.new.type, {})
            by_state[record.state] = by_state.get(record.state, 0) + 1
        shown = Counts.of(self._queue.core.store.counts()).types
        demand(shown == counted, "the counts are", shown, "not", counted)

    def _read_what_was_decided(self) -> None:
        """What the queue may choose: the pause after a failure, within its bounds."""
        tasks = self.ledger.tasks.values()
        chosen = [r.new.id for r in tasks if r.state is State.SCHEDULED and r.due is None]
        for task in self._queue.get(chosen).tasks if chosen else ():
            record = self.ledger.tasks[task.id]
            low, high = record.bounds
            demand(task.due is not None and low <= task.due <= high, task.id, "is due at", task.due)
            record.due = task.due
