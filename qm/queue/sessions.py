"""The connected pools, in memory: who they are, until when they live, and what their slots last said.

Liveness and ownership are two things: a session says who lives, leases (in the store) say who owns. All terms
are judged by the monotonic clock.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Container, Iterable

from qm.errors import BadRequest, SessionLost
from qm.limits import SESSION_TERM, STATUS_POOL_TYPES_MAX
from qm.messages import Claim, Slot, WorkerInfo, WorkerStatus
from qm.queue.waiter import Waiter
from qm.queue.wake import Parked
from qm.task import Lease


class SlotState:
    """What the manager remembers of one child."""

    __slots__ = ("call", "given", "incarnation", "parked")

    def __init__(self, incarnation: int) -> None:
        self.incarnation = incarnation
        #: The highest call number seen.
        self.call = -1
        #: The leases it holds as far as we know; None after a restart: ask the store.
        self.given: set[Lease] | None = None
        #: Its call that waits for tasks, if any.
        self.parked: Parked | None = None

    def wake(self) -> None:
        """Ends its waiting call, if any."""
        if self.parked is not None:
            self.parked.waiter.wake()


class Session:
    """One connected pool."""

    def __init__(self, info: WorkerInfo, since: float, deadline: float) -> None:
        self.info = info
        self.since = since
        self.deadline = deadline
        self.draining = False
        #: The store knows it. Until then nobody may call under it: what it took would be missed by nobody
        #: after a restart.
        self.stored = False
        #: It is over; it stays here until what it held is given back, whatever the store says meanwhile.
        self.ended = False
        #: Its children by index: the latest incarnation of each.
        self.slots: dict[int, SlotState] = {}
        #: Its renew that waits for orders, if any.
        self.renewing: Waiter | None = None
        #: Its leases that somebody cancelled, in the order of it; some may have ended meanwhile.
        self.cancelled: dict[Lease, None] = {}

    def status(self) -> WorkerStatus:
        """What others may see of it."""
        return _status(self.info, self.since)


class Sessions:
    """All sessions. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sessions: dict[str, Session] = {}
        #: Those that other managers serve, and since when.
        self._elsewhere: list[tuple[WorkerInfo, float]] = []
        #: Processes by the type they serve; None once a session has come, gone or begun to drain.
        self._serving: Counter[str] | None = None

    def open(self, info: WorkerInfo, now: float, monotonic: float) -> Session:
        """Opens a session, or re-opens it with what it now says. `confirm` follows once that is stored."""
        with self._lock:
            self._serving = None
            known = self._sessions.get(info.session)
            if known is None or known.ended:
                known = self._sessions[info.session] = Session(info, now, monotonic + SESSION_TERM)
            known.info = info
            known.deadline = monotonic + SESSION_TERM
            return known

    def confirm(self, session: Session) -> bool:
        """The store knows the session now. Gives whether it did not before."""
        with self._lock:
            was, session.stored = session.stored, True
            return not was

    def is_open(self, session: str) -> bool:
        """Whether there is such a session, and it has not ended; it may not be stored yet."""
        with self._lock:
            return self._get(session) is not None

    def knows(self, session: str) -> bool:
        """Whether there is such a session, be it one that has ended and is not removed yet."""
        with self._lock:
            return session in self._sessions

    def end(self, session: str) -> None:
        """Ends a session, if there is one, and its waiting calls. `remove` follows."""
        with self._lock:
            found = self._sessions.get(session)
            if found is not None:
                self._end(found)

    def end_overdue(self, monotonic: float) -> list[str]:
        """Ends the sessions whose term is over, in the same moment as they are judged. Names them again
        until they are removed."""
        with self._lock:
            overdue = [key for key, session in self._sessions.items() if session.deadline <= monotonic]
            for key in overdue:
                self._end(self._sessions[key])
            return overdue

    def remove(self, session: str) -> None:
        """Forgets a session that has ended, unless it was opened again."""
        with self._lock:
            if self._get(session) is None:
                self._sessions.pop(session, None)

    def let_go(self, ours: Container[str]) -> list[str]:
        """Forgets the sessions that are not in `ours`: another manager serves them now, or they are gone.
        Those that end here are not concerned, nor those that are not stored yet. Names them."""
        with self._lock:
            gone = [
                key for key, one in self._sessions.items() if one.stored and not one.ended and key not in ours
            ]
            for key in gone:
                self._end(self._sessions.pop(key))
            return gone

    def know(self, elsewhere: list[tuple[WorkerInfo, float]]) -> None:
        """Notes the sessions that other managers serve, and since when."""
        with self._lock:
            self._elsewhere = elsewhere
            self._serving = None

    def renew(self, session: str, monotonic: float, draining: bool, waiter: Waiter | None) -> Session:
        """Gives a session a fresh term; its older waiting renew, if any, ends. Raises `SessionLost`."""
        with self._lock:
            found = self._find(session)
            found.deadline = monotonic + SESSION_TERM
            if found.renewing is not None:
                found.renewing.wake()
            found.renewing = waiter
            if draining and not found.draining:
                found.draining = True
                self._serving = None
                self._wake(found)
            return found

    def suspect(self, session: str, waiter: Waiter, until: float) -> None:
        """The connection of the renew that slept on `waiter` was lost. Unless the pool has redialled already,
        its term is over at `until`, by the monotonic clock."""
        with self._lock:
            found = self._get(session)
            if found is not None and found.renewing is waiter:
                found.deadline = min(found.deadline, until)

    def enter(self, claim: Claim, parked: Parked | None) -> SlotState | None:
        """Notes a slot's call. None if it comes too late: a later call of the slot was already here. An
        earlier call that still waits ends with nothing. Raises `SessionLost`, `BadRequest` for a dead child.
        """
        with self._lock:
            slots = self._find(claim.slot.session).slots
            slot = slots.get(claim.slot.index) or SlotState(claim.slot.incarnation)
            if claim.slot.incarnation < slot.incarnation:
                raise BadRequest(
                    f"slot {claim.slot.index} has incarnation {slot.incarnation} or later by now, "
                    f"{claim.slot.incarnation} is dead",
                    hint="a child that takes over a slot has a higher incarnation",
                )
            if claim.slot.incarnation == slot.incarnation and claim.call <= slot.call:
                return None
            slot.wake()
            if slot.incarnation < claim.slot.incarnation:
                slot = SlotState(claim.slot.incarnation)
            slot.call = claim.call
            slot.parked = parked
            slots[claim.slot.index] = slot
            return slot

    def is_latest(self, claim: Claim) -> bool:
        """Whether a slot's call is the last we heard of it: its child lives, its session is open."""
        with self._lock:
            session = self._get(claim.slot.session)
            return session is not None and self._is_latest(session, claim)

    def may_take(self, claim: Claim) -> bool:
        """Whether a slot's call should still get tasks: as `is_latest`, and its session stays."""
        with self._lock:
            session = self._get(claim.slot.session)
            return session is not None and not session.draining and self._is_latest(session, claim)

    def note_given(self, claim: Claim, slot: SlotState, leases: set[Lease]) -> None:
        """What the slot holds now, unless a later call of it is at work."""
        with self._lock:
            if slot.call == claim.call:
                slot.given = leases

    def bury(self, slot: Slot) -> None:
        """A child is dead: its late words are not heard. Its successor is another incarnation."""
        with self._lock:
            session = self._get(slot.session)
            if session is None:
                return
            known = session.slots.get(slot.index) or SlotState(slot.incarnation)
            if known.incarnation <= slot.incarnation:
                session.slots[slot.index] = SlotState(slot.incarnation + 1)
                known.wake()

    def cancel(self, session: str, lease: Lease) -> None:
        """Somebody cancelled a task that the session runs: its renew shall say so at once."""
        with self._lock:
            found = self._get(session)
            if found is not None:
                found.cancelled[lease] = None
                if found.renewing is not None:
                    found.renewing.wake()

    def cancelled(self, session: str) -> list[Lease]:
        """The session's leases that somebody cancelled, as far as we know that they hold."""
        with self._lock:
            found = self._get(session)
            return [*found.cancelled] if found is not None else []

    def forget_cancelled(self, session: str, leases: Iterable[Lease]) -> None:
        """These leases do not hold any more."""
        with self._lock:
            found = self._get(session)
            if found is not None:
                for lease in leases:
                    found.cancelled.pop(lease, None)

    def grant(self, until: float) -> None:
        """No session's term is over before `until`, by the monotonic clock."""
        with self._lock:
            for session in self._sessions.values():
                session.deadline = max(session.deadline, until)

    def next_deadline(self) -> float | None:
        """When the first session's term is over, by the monotonic clock."""
        with self._lock:
            return min((s.deadline for s in self._sessions.values()), default=None)

    def unserved(self, types: Iterable[str]) -> list[str]:
        """Which of `types` no connected pool serves."""
        with self._lock:
            serving = self._served()
            return [name for name in dict.fromkeys(types) if not serving[name]]

    def processes(self, types: Iterable[str]) -> int:
        """How many processes serve these types: of each, the most; at least one, who asks."""
        with self._lock:
            serving = self._served()
            return max((serving[name] for name in types), default=0) or 1

    def status(self) -> list[WorkerStatus]:
        """All sessions, oldest first."""
        with self._lock:
            found = [s.status() for s in self._sessions.values() if not s.ended]
            found += [_status(*one) for one in self._elsewhere if self._get(one[0].session) is None]
        return sorted(found, key=lambda s: (s.since, s.session))

    def wake_all(self) -> None:
        """Ends all waiting renews: the manager stops. (Waiting takers are woken by `Takers`.)"""
        with self._lock:
            for session in self._sessions.values():
                if session.renewing is not None:
                    session.renewing.wake()

    def _served(self) -> Counter[str]:
        """Counted anew only after a change: adds and takes ask it all the time, of thousands of pools."""
        if self._serving is None:
            self._serving = Counter()
            for session in self._sessions.values():
                if not session.draining and not session.ended:
                    self._serving.update(dict.fromkeys(session.info.types, session.info.processes))
            for info, _ in self._elsewhere:
                if self._get(info.session) is None:  # it came to us since we looked
                    self._serving.update(dict.fromkeys(info.types, info.processes))
        return self._serving

    def _get(self, session: str) -> Session | None:
        found = self._sessions.get(session)
        return found if found is not None and not found.ended else None

    def _find(self, session: str) -> Session:
        found = self._get(session)
        if found is None or not found.stored:
            raise SessionLost(f"session {session[:64]!r} is not known here", hint="attach again")
        return found

    @staticmethod
    def _is_latest(session: Session, claim: Claim) -> bool:
        slot = session.slots.get(claim.slot.index)
        return slot is not None and (slot.incarnation, slot.call) == (claim.slot.incarnation, claim.call)

    def _end(self, session: Session) -> None:
        session.ended = True
        self._serving = None
        self._wake(session)

    def _wake(self, session: Session) -> None:
        if session.renewing is not None:
            session.renewing.wake()
        for slot in session.slots.values():
            slot.wake()


def _status(info: WorkerInfo, since: float) -> WorkerStatus:
    return WorkerStatus(
        session=info.session,
        name=info.name,
        processes=info.processes,
        types=sorted(info.types)[:STATUS_POOL_TYPES_MAX],
        types_left=max(0, len(info.types) - STATUS_POOL_TYPES_MAX),
        since=since,
    )
