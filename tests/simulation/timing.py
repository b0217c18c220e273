"""What the manager does by itself, as it must be: due tasks wait, silent sessions end, old tasks go."""

from __future__ import annotations

from qm.clock import Clock
from qm.limits import SESSION_TERM
from qm.queue import Queue
from qm.task import State
from tests.simulation.ledger import Ledger, Record, demand

#: A timer that wakes so late tells that the whole manager was asleep.
_ASLEEP = 10.0

_DAY = 86400.0


class Timing:
    """Applies turns of the timer to the ledger."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        #: When a turn was broken off that nobody has looked into yet: (wall clock, monotonic).
        self.unsure: tuple[float, float] | None = None
        #: The sessions that it may have ended.
        self._suspects: list[str] = []

    def forgive(self, late: float) -> None:
        """After a sleep of the manager nobody is judged for half a term."""
        if late > _ASLEEP:
            self._ledger.seen["forgiven"] += 1
            until = self._clock.monotonic() + SESSION_TERM / 2
            for session in self._ledger.sessions.values():
                session.deadline = max(session.deadline, until)

    def tick(self) -> None:
        """A whole turn."""
        now = self._clock.now()
        self._promote(self._due(now))
        for session in self._overdue(self._clock.monotonic()):
            self._end(session, now)
        self._expire(now)

    def break_off(self) -> None:
        """A turn has begun, and ended somewhere."""
        self._ledger.seen["broken off"] += 1
        monotonic = self._clock.monotonic()
        self.unsure = (self._clock.now(), monotonic)
        self._suspects = self._overdue(monotonic)

    def find_out(self, queue: Queue) -> None:
        """How far that turn has come. Each of its steps has happened whole, or not at all."""
        assert self.unsure is not None
        (now, monotonic), self.unsure = self.unsure, None
        due = self._due(now)
        waiting = [r for r in due if self._state(queue, r) is not State.SCHEDULED]
        demand(waiting in ([], due), "of", due, "only some wait:", waiting)
        self._promote(waiting)
        self._find_sessions(queue, now)
        old = [r for r in self._ledger.tasks.values() if r.expires is not None and r.expires <= now]
        if old and all(self._state(queue, record) is None for record in old):
            self._expire(now)
        open_ = {worker.session for worker in queue.status().workers}
        for session in self._overdue(monotonic):
            self._ledger.sessions[session].ended = session not in open_

    def _find_sessions(self, queue: Queue, now: float) -> None:
        stored = {info.session for info in queue.core.store.sessions()}
        for session in [s for s in self._ledger.stored if s not in stored]:
            demand(session in self._suspects, "a session was ended before its time:", session)
            self._end(session, now)

    def _promote(self, due: list[Record]) -> None:
        self._ledger.seen["due"] += len(due)
        for record in due:
            record.wait(self._ledger.number())

    def _end(self, session: str, now: float) -> None:
        for record in self._ledger.running(session):
            record.charge(now, lost=1)
            self._ledger.seen["silent"] += 1
        self._ledger.sessions.pop(session, None)
        self._ledger.stored.pop(session, None)

    def _expire(self, now: float) -> None:
        faded = [id_ for id_, (_, until) in self._ledger.gone.items() if until <= now]
        for id_ in faded:
            del self._ledger.gone[id_]
        old = [r for r in self._ledger.tasks.values() if r.expires is not None and r.expires <= now]
        self._ledger.seen["expired"] += len(old)
        for record in old:
            self._ledger.forget(record.new.id, now + _DAY)

    def _due(self, now: float) -> list[Record]:
        due = [r for r in self._ledger.tasks.values() if r.due is not None and r.due <= now]
        return sorted(due, key=lambda r: (r.due, r.n))

    def _overdue(self, monotonic: float) -> list[str]:
        return [key for key, session in self._ledger.sessions.items() if session.deadline <= monotonic]

    @staticmethod
    def _state(queue: Queue, record: Record) -> State | None:
        found = queue.get([record.new.id]).tasks
        return found[0].state if found else None
