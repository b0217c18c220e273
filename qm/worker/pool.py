"""The parent of a pool: starts children, watches them, reports their deaths, drains."""

from __future__ import annotations

import itertools
import logging
import signal
import time
from multiprocessing import get_context
from multiprocessing.connection import wait
from typing import Any, Final

from qm.clock import boottime
from qm.errors import OperationError
from qm.messages import Slot
from qm.task import Outcome
from qm.worker.config import ChildConfig
from qm.worker.member import Death, Member
from qm.worker.seeker import Seeker
from qm.worker.session import Session
from qm.worker.signals import Signals
from qm.worker.stillbirths import Stillbirths
from qm.worker.watch import GRACE_SECONDS

_log = logging.getLogger(__name__)

#: Seconds until a child is started again that the system had no room for, or that died of no task: what it
#: died of may well be there still.
_VACANT: Final = 0.5

#: Seconds of one sleep: the kernel's poll counts in milliseconds, and ends at 24 days.
_SLEEP_MAX: Final = 3600.0

#: Characters of a child's last words in our log, where no task was to blame.
_LAST_WORDS: Final = 2000


class Pool:
    """N children and the session they work under. Lives in the main thread, runs no user code."""

    def __init__(
        self, config: ChildConfig, processes: int, drain: float, grace: float = GRACE_SECONDS
    ) -> None:
        self._config = config
        self._processes = processes
        self._signals = Signals()
        self._session = Session(
            config, processes, lambda: [m.page for m in list(self._members)], self._signals.wake
        )
        self._drain_seconds = drain
        self._grace = grace
        self._seeker = Seeker(self._free_hostages)
        self._context = get_context("spawn")
        self._incarnations = itertools.count()
        self._members: list[Member] = []
        #: Slots without a child for a while; and when to try again.
        self._vacant: list[int] = []
        self._fill_at: float | None = None
        self._stillbirths = Stillbirths()
        self._drain_deadline: float | None = None
        self._failure: OperationError | None = None

    def run(self) -> None:
        """Works until a signal says to leave, and everything is settled.

        Raises `LoadError` or `OperationError` where the children cannot work, `Unreachable` or `AuthFailed`
        where there is no manager.
        """
        with self._signals:
            try:
                for index in range(self._processes):
                    self._spawn(index)
                while self._members or self._vacant:
                    self._turn()
            finally:
                self._leave()
        if self._failure is not None:
            raise self._failure

    def _turn(self) -> None:
        """Sleeps until something happens, and sees to it."""
        deaths = {member.death: member for member in self._members}
        pipes: dict[Any, Member] = {m.pipe: m for m in self._members if m.ready is None}
        alarms: dict[Any, Member] = {member.alarm: member for member in self._members}
        happened = wait([*deaths, *pipes, *alarms, self._signals.fileno()], self._until_next())
        for thing in happened:
            if thing in pipes:
                self._hear(pipes[thing])
        woken = self._signals.fileno() in happened
        if woken:
            self._signals.clear()
        # first: who dies of the same signal is not missed
        if self._signals.heard and self._drain_deadline is None:
            self._drain()
        self._fill_vacant()
        self._start_work()
        for thing in happened:
            if thing in alarms and alarms[thing].alarm.heard():
                self._free_hostages(alarms[thing])
                alarms[thing].watch.ring()
        self._see_to_tasks(woken)
        for fd, member in deaths.items():
            if fd in happened:
                self._bury(member)
        if self._drain_deadline is not None and (self._signals.heard > 1 or self._until_drained() == 0):
            for member in self._members:
                member.kill()

    def _spawn(self, index: int) -> None:
        slot = Slot(self._session.id, index, next(self._incarnations))
        try:
            self._members.append(Member(self._context, self._config, slot, self._grace))
        except OSError as error:  # a task's fork bomb, perhaps: it will be over
            _log.error("child %d cannot be started, trying again: %s", index, error)
            self._leave_vacant(index)

    def _leave_vacant(self, index: int) -> None:
        self._vacant.append(index)
        if self._fill_at is None:  # who waits already does not wait longer
            self._fill_at = boottime() + _VACANT

    def _fill_vacant(self) -> None:
        if self._fill_at is not None and boottime() >= self._fill_at:
            vacant, self._vacant, self._fill_at = self._vacant, [], None
            for index in vacant:
                self._spawn(index)

    def _hear(self, member: Member) -> None:
        member.hear()
        if member.ready is not None:
            self._stillbirths.end_row()

    def _start_work(self) -> None:
        """Lets children work that have loaded their operations; the first of them opens the session."""
        ready = [member for member in self._members if member.ready is not None]
        if ready and not self._session.is_open and self._drain_deadline is None:
            assert ready[0].ready is not None
            types = ready[0].ready.types
            self._session.open(types)
            _log.info("serving %s with %d processes", ", ".join(sorted(types)), self._processes)
        if self._session.is_open:
            for member in ready:
                member.start_work(self._session.end, self._session.manager)

    def _free_hostages(self, member: Member) -> None:
        """A batch takes too long: what its child has not started goes to others."""
        unstarted = member.free_hostages()
        if unstarted:
            _log.debug("child %d runs long, %d tasks go back", member.slot.index, len(unstarted))
            self._session.report(lambda client: client.release_many(unstarted))

    def _see_to_tasks(self, woken: bool) -> None:
        """Sees to tasks that have run long, and to those that must end."""
        now, cancelled = boottime(), self._session.cancelled
        if woken:
            self._end_lost()
        if woken or self._seeker.is_due(now):
            self._seeker.seek(now, cancelled, self._members, anew=woken)
        for member in self._members:
            if member.watch.next is not None and now >= member.watch.next:
                member.look(now, cancelled)

    def _end_lost(self) -> None:
        """Tasks that run here and went to others meanwhile: not a moment longer, and without a report."""
        lost = self._session.lost
        for member in self._members if lost else ():
            lease = member.page.current()
            if lease in lost and not member.killed:
                _log.warning(
                    "child %d is killed: task %s went to another worker", member.slot.index, lease.id
                )
                member.kill()

    def _until_next(self) -> float | None:
        """Seconds until something has to be done though nothing has happened."""
        moments = [m.watch.next for m in self._members if m.watch.next is not None]
        moments += [moment for moment in (self._seeker.next, self._fill_at) if moment is not None]
        waits = [max(0.0, moment - boottime()) for moment in moments]
        if (drained := self._until_drained()) is not None:
            waits += [drained, _SLEEP_MAX]
        return min(waits, default=None)

    def _bury(self, member: Member) -> None:
        """A child is dead: says so, and starts another unless we are leaving."""
        self._members.remove(member)
        if member.ready is None and member.has_spoken():
            self._hear(member)
        death = member.bury()
        slot, code = member.slot, death.crash.exitcode
        if member.ready is None and not member.killed:
            self._born_dead(member, code)
        elif not member.killed and (code or self._drain_deadline is None):
            # what we killed ourselves is not its task's fault: it goes back uncounted when we detach
            self._tell(death)
            self._session.report(lambda client: client.crashed(death.crash))
        if self._drain_deadline is not None:
            return
        if self._was_shot(member, code) or death.crash.current is None:
            self._leave_vacant(slot.index)
        else:
            self._spawn(slot.index)

    def _was_shot(self, member: Member, code: int) -> bool:
        """Whether somebody killed a child while it started, in a pool that has worked: a system short of
        memory, mostly. That passes, and says nothing about the operations."""
        return member.ready is None and code == -signal.SIGKILL and self._session.is_open

    def _tell(self, death: Death) -> None:
        """Says in our log who died, and of what."""
        crash = death.crash
        index, task = crash.slot.index, crash.current.id if crash.current else "none"
        if crash.outcome is not Outcome.CRASHED:
            _log.warning("child %d was killed with task %s: %s", index, task, crash.outcome.value)
            return
        words = death.last_words[-_LAST_WORDS:] if crash.current is None else ""
        _log.error(
            "child %d died: exit code %d, task %s%s", index, crash.exitcode, task, words and f"\n{words}"
        )

    def _born_dead(self, member: Member, code: int) -> None:
        """A child that could not even begin."""
        if self._was_shot(member, code):
            _log.error("child %d was killed while it started", member.slot.index)
        elif (failure := self._stillbirths.judge(code, member.broken)) is not None:
            self._fail(failure)

    def _fail(self, failure: OperationError) -> None:
        """This pool cannot go on: lets what runs end, and then raises."""
        self._failure = self._failure or failure
        if self._drain_deadline is None:
            self._drain()

    def _drain(self) -> None:
        """Asks all children to leave. What runs on after its time, or a second signal, is killed."""
        if self._session.is_open:  # else nothing runs yet
            _log.info("leaving: what runs has %g s to end", self._drain_seconds)
        self._drain_deadline = time.monotonic() + self._drain_seconds
        self._vacant, self._fill_at = [], None
        for member in self._members:
            member.drain()
        self._session.report(lambda client: client.renew(self._session.id, draining=True))

    def _until_drained(self) -> float | None:
        if self._drain_deadline is None:
            return None
        return max(0.0, self._drain_deadline - time.monotonic())

    def _leave(self) -> None:
        """Nobody works any more: says the last reports and good-bye."""
        for member in self._members:  # only after an error of our own
            member.kill()
            member.bury()
        if self._session.is_open:
            self._session.close()
            _log.info("left")
