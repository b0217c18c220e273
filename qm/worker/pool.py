"""The parent of a pool: starts children, watches them, reports their deaths, drains."""

from __future__ import annotations

import itertools
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import wait
from types import FrameType
from typing import Any, Final

from qm.client import Client
from qm.errors import LoadError, OperationError
from qm.ids import new_id
from qm.messages import Crash, Slot, TypeOptions, WorkerInfo
from qm.worker.config import NO_GUARD_EXIT, ChildConfig
from qm.worker.courier import Courier
from qm.worker.heartbeat import Heartbeat
from qm.worker.member import Member

_log = logging.getLogger(__name__)

#: Children that may die in a row before any of them could work.
_STILLBORN_MAX: Final = 3

#: Seconds to wait for a manager that is away, before the pool has ever reached one.
_FIRST_PATIENCE: Final = 5.0

#: ... and afterwards: it will come back.
_PATIENCE: Final = 365 * 86400.0

#: Seconds for the last reports to be heard when the pool leaves.
_FAREWELL: Final = 3.0


class Pool:
    """N children and the session they work under. Lives in the main thread, runs no user code."""

    def __init__(self, config: ChildConfig, processes: int, drain: float) -> None:
        self._config = config
        self._processes = processes
        self._drain_seconds = drain
        self._context = get_context("spawn")
        self._session = new_id()
        self._incarnations = itertools.count()
        self._members: list[Member] = []
        self._stillborn = 0
        self._client: Client | None = None
        self._heartbeat: Heartbeat | None = None
        self._courier = Courier()
        self._signals = 0
        self._drain_deadline: float | None = None
        self._failure: OperationError | None = None

    def run(self) -> None:
        """Works until a signal says to leave, and everything is settled.

        Raises `LoadError` or `OperationError` where the children cannot work, `Unreachable` or `AuthFailed`
        where there is no manager.
        """
        with self._signalled() as woken:
            try:
                for index in range(self._processes):
                    self._spawn(index)
                self._courier.start()
                while self._members:
                    self._turn(woken)
            finally:
                self._leave()
        if self._failure is not None:
            raise self._failure

    def _turn(self, woken: int) -> None:
        """Sleeps until something happens, and sees to it."""
        deaths = {member.death: member for member in self._members}
        pipes: dict[Any, Member] = {m.pipe: m for m in self._members if m.ready is None}
        alarms: dict[Any, Member] = {member.alarm: member for member in self._members}
        happened = wait([*deaths, *pipes, *alarms, woken], self._until_drained())
        for thing in happened:
            if thing in pipes:
                self._hear(pipes[thing])
        if woken in happened:
            os.read(woken, 512)
        self._start_work()
        for thing in happened:
            if thing in alarms and alarms[thing].alarm.heard():
                self._free_hostages(alarms[thing])
        for fd, member in deaths.items():
            if fd in happened:
                self._bury(member)
        if self._signals and self._drain_deadline is None:
            self._drain()
        if self._drain_deadline is not None and (self._signals > 1 or self._until_drained() == 0):
            for member in self._members:
                member.kill()

    def _spawn(self, index: int) -> None:
        slot = Slot(self._session, index, next(self._incarnations))
        self._members.append(Member(self._context, self._config, slot))

    def _hear(self, member: Member) -> None:
        member.hear()
        if member.ready is not None:
            self._stillborn = 0

    def _start_work(self) -> None:
        """Lets children work that have loaded their operations; the first of them opens the session."""
        ready = [member for member in self._members if member.ready is not None]
        if ready and self._heartbeat is None and self._drain_deadline is None:
            assert ready[0].ready is not None
            self._attach(ready[0].ready.types)
        if self._heartbeat is not None:
            for member in ready:
                member.start_work(self._heartbeat.session_end)

    def _attach(self, types: dict[str, TypeOptions]) -> None:
        info = WorkerInfo(
            session=self._session,
            host=socket.gethostname(),
            pid=os.getpid(),
            processes=self._processes,
            types=types,
        )
        with Client(self._config.address, self._config.authkey, patience=_FIRST_PATIENCE) as client:
            term = client.attach(info).term
        self._client = Client(self._config.address, self._config.authkey, patience=_PATIENCE)
        self._heartbeat = Heartbeat(self._client, info, term, lambda: [m.page for m in list(self._members)])
        self._heartbeat.start()
        _log.info("serving %s with %d processes", ", ".join(sorted(types)), self._processes)

    def _free_hostages(self, member: Member) -> None:
        """A batch takes too long: what its child has not started goes to others."""
        unstarted = member.free_hostages()
        if unstarted:
            _log.debug("child %d runs long, %d tasks go back", member.slot.index, len(unstarted))
            self._report(lambda client: client.release_many(unstarted))

    def _bury(self, member: Member) -> None:
        """A child is dead: says so, and starts another unless we are leaving."""
        self._members.remove(member)
        if member.ready is None:
            self._hear(member)
        slot, current = member.slot, member.page.current()
        code = member.bury()
        if member.ready is None and not member.killed:
            self._born_dead(member, code)
        elif not member.killed and (code or self._drain_deadline is None):
            # what we killed ourselves is not its task's fault: it goes back uncounted when we detach
            _log.error(
                "child %d died: exit code %d, task %s", slot.index, code, current.id if current else "none"
            )
            crash = Crash(slot=slot, exitcode=code, current=current)
            self._report(lambda client: client.crashed(crash))
        if self._drain_deadline is None:
            self._spawn(slot.index)

    def _born_dead(self, member: Member, code: int) -> None:
        """A child that could not even begin. Trying for ever would burn the machine and say nothing."""
        self._stillborn += 1
        if member.broken is not None:
            self._fail(LoadError(member.broken))
        elif code == NO_GUARD_EXIT:
            self._fail(
                LoadError(
                    "the script starts its worker when it is imported, and every child imports it: "
                    'put the call of Worker.run under `if __name__ == "__main__":`'
                )
            )
        elif self._stillborn >= _STILLBORN_MAX:
            self._fail(
                OperationError(
                    f"{self._stillborn} children in a row died before they could work (exit code {code}); "
                    f"what they printed stands above"
                )
            )

    def _fail(self, failure: OperationError) -> None:
        """This pool cannot go on: lets what runs end, and then raises."""
        self._failure = self._failure or failure
        if self._drain_deadline is None:
            self._drain()

    def _drain(self) -> None:
        """Asks all children to leave. What runs on after its time, or a second signal, is killed."""
        _log.info("leaving: up to %g s for what %d children run", self._drain_seconds, len(self._members))
        self._drain_deadline = time.monotonic() + self._drain_seconds
        for member in self._members:
            member.drain()
        self._report(lambda client: client.renew(self._session, draining=True))

    def _until_drained(self) -> float | None:
        if self._drain_deadline is None:
            return None
        return max(0.0, self._drain_deadline - time.monotonic())

    def _report(self, say: Callable[[Client], object]) -> None:
        """Has the courier say something to the manager, if we ever reached one."""
        client = self._client
        if client is not None:
            self._courier.send(lambda: say(client))

    def _leave(self) -> None:
        """Nobody works any more: says the last reports and good-bye."""
        for member in self._members:  # only after an error of our own
            member.kill()
            member.bury()
        if self._heartbeat is None or self._client is None:
            return
        self._heartbeat.stop()
        self._report(lambda client: client.detach(self._session))
        self._courier.finish(_FAREWELL)
        self._client.close()
        _log.info("left")

    @contextmanager
    def _signalled(self) -> Iterator[int]:
        """Counts SIGTERM and SIGINT, and wakes the main loop by a pipe: gives its reading end."""
        reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        before = {number: signal.signal(number, self._signal) for number in (signal.SIGTERM, signal.SIGINT)}
        wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        try:
            yield reader
        finally:
            signal.set_wakeup_fd(wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(reader)
            os.close(writer)

    def _signal(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1
