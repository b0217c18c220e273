"""A child as its parent sees it."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Collection, Iterator
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from multiprocessing.context import SpawnContext
from typing import Final, NamedTuple

import msgspec

from qm.messages import Crash, Slot
from qm.task import Lease
from qm.worker import process
from qm.worker.alarm import Alarm
from qm.worker.config import Broken, ChildConfig, Ready
from qm.worker.output import Output
from qm.worker.page import Page
from qm.worker.watch import GRACE_SECONDS, Watch

#: Seconds after which a batch must not hold its tasks any more: several times what a batch aims at.
_HOSTAGE_SECONDS: Final = 0.1

#: Seconds from revoking a batch until a start that the child had just published must be visible here. Another
#: processor's store is, within a microsecond; the rest is caution.
_REVOKE_SECONDS: Final = 0.005


class Death(NamedTuple):
    """What there is to tell of a child that died: to the manager, and to the pool's log where no task ran."""

    crash: Crash
    last_words: str


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """A process that is started meanwhile does not hear Ctrl-C until it has a handler for it (see
    `qm.worker.process`): it would die of it in the middle of its imports, and show them."""
    resource_tracker.ensure_running()  # else the first start makes it, and lets the signal through again
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


class Member:
    """One incarnation of one child: its process, its pipes, its page, its output."""

    def __init__(
        self, context: SpawnContext, config: ChildConfig, slot: Slot, grace: float = GRACE_SECONDS
    ) -> None:
        """Starts the process. Main thread only: the kernel ties it to the thread that starts it. `grace`:
        seconds between the exception that ends a task and the death of its process.

        Raises OSError where the system has no room for another process.
        """
        self.slot = slot
        with contextlib.ExitStack() as made:  # pipes close by themselves
            self.page = Page.create()
            made.callback(self.page.sent)
            self._output = Output.create()
            made.callback(self._output.close)
            self.alarm = Alarm.create(_HOSTAGE_SECONDS)
            made.callback(self.alarm.close)
            self._start(context, config)
            made.pop_all()
        self.page.sent()
        self.killed = False
        self.watch = Watch(self._pid, self.page, self._output, grace)

    def _start(self, context: SpawnContext, config: ChildConfig) -> None:
        self.ready: Ready | None = None
        self.broken: str | None = None
        self._started = False
        self.pipe, theirs = context.Pipe()
        lifeline, self._lifeline = context.Pipe(duplex=False)
        self.process = context.Process(
            target=process.main,
            args=(config, theirs, lifeline, self.page, self.alarm, self._output),
            name=f"qmworker-{self.slot.index}",
        )
        with _interrupts_held():
            self.process.start()
        theirs.close()
        lifeline.close()
        #: Readable once it is dead. The process's own sentinel is not: a task's forks would hold it open.
        self.death = os.pidfd_open(self._pid)

    @property
    def _pid(self) -> int:
        assert self.process.pid is not None  # it has been started
        return self.process.pid

    def has_spoken(self) -> bool:
        """Whether `hear` need not wait. A fork that its module has left behind may hold the pipe of a dead
        child open for ever."""
        return self.pipe.poll()

    def hear(self) -> None:
        """Reads what the child said about its loading."""
        try:
            said = msgspec.msgpack.decode(self.pipe.recv_bytes(), type=Ready | Broken)
        except EOFError:  # its death says the rest
            return
        if isinstance(said, Ready):
            self.ready = said
        else:
            self.broken = said.text

    def start_work(self, session_end: float, manager: int = 0) -> None:
        """The session is open, at the manager in this place: the child may take tasks."""
        if self.ready is not None and not self._started:
            self._started = True
            self.page.manager = manager
            self.page.session_end = session_end
            with contextlib.suppress(BrokenPipeError):  # it died meanwhile, which is noticed elsewhere
                self.pipe.send_bytes(msgspec.msgpack.encode(self.slot))

    def free_hostages(self) -> list[Lease]:
        """A task of a batch runs long: gives what its child has not started, and has the child hand in what
        ended before."""
        batch = self.page.revoke()
        wait([], _REVOKE_SECONDS)
        unstarted = self.page.unstarted(batch)
        self._call()
        return unstarted

    def look(self, now: float, cancelled: Collection[Lease]) -> None:
        """Sees to what it runs: see `qm.worker.watch`."""
        if self.watch.look(now, cancelled):
            self._kill_group()
            self.process.kill()

    def holds(self, lease: Lease) -> bool:
        """Whether the lease is of its batch, and its task has not ended."""
        held, place = self.page.held(), self.page.place
        return lease in held and held.index(lease) >= place

    def drain(self) -> None:
        """Asks the child to leave when it has settled what it runs."""
        self.page.drain()
        if not self._started:  # it has nothing to settle, and would not look before it works
            self.kill()
        else:
            self._call()  # it may pause between two tasks

    def kill(self) -> None:
        """Kills the child and whatever its task has started."""
        self.killed = True
        self._kill_group()
        self.process.kill()

    def bury(self) -> Death:
        """After its death: ends what its task left behind, and lets everything go."""
        self._kill_group()  # before its pid is free for somebody else
        peak_memory = self._reap()
        self.process.join()
        code = self.process.exitcode or 0
        current = self.page.current()
        outcome, error = self.watch.verdict(current)
        details = self.watch.details(code, peak_memory)
        os.close(self.death)
        self.process.close()
        self.alarm.close()
        self.pipe.close()
        self._lifeline.close()
        self._output.close()
        suspect = self.page.suspect()
        crash = Crash(
            slot=self.slot, exitcode=code, current=suspect, outcome=outcome, error=error, details=details
        )
        return Death(crash, details.log)

    def _reap(self) -> int | None:
        """How many bytes it had in memory at most, which only the one who reaps a process is told."""
        try:
            _, status, usage = os.wait4(self._pid, 0)
        except ChildProcessError:  # it was reaped when multiprocessing started another
            return None
        # multiprocessing would wait for it in vain
        self.process._popen.returncode = os.waitstatus_to_exitcode(status)  # type: ignore[attr-defined]
        return usage.ru_maxrss * 1024

    def _call(self) -> None:
        """Has it hand in what has ended, and look whether it has to leave."""
        with contextlib.suppress(BrokenPipeError):  # dead: its burial gives everything back
            self._lifeline.send_bytes(b"settle")

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError):  # nobody left, or it has not made its group yet
            os.killpg(self._pid, signal.SIGKILL)
