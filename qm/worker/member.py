"""A child as its parent sees it."""

from __future__ import annotations

import contextlib
import os
import signal
from multiprocessing.connection import wait
from multiprocessing.context import SpawnContext
from typing import Final

import msgspec

from qm.messages import Slot
from qm.task import Lease
from qm.worker import child
from qm.worker.alarm import Alarm
from qm.worker.config import Broken, ChildConfig, Ready
from qm.worker.page import Page

#: Seconds after which a batch must not hold its tasks any more: several times what a batch aims at.
_HOSTAGE_SECONDS: Final = 0.1

#: Seconds from revoking a batch until a start that the child had just published must be visible here. Another
#: processor's store is, within a microsecond; the rest is caution.
_REVOKE_SECONDS: Final = 0.005


class Member:
    """One incarnation of one child: its process, its pipes, its page."""

    def __init__(self, context: SpawnContext, config: ChildConfig, slot: Slot) -> None:
        """Starts the process. Main thread only: the kernel ties it to the thread that starts it."""
        self.slot = slot
        self.page = Page.create()
        self.alarm = Alarm.create(_HOSTAGE_SECONDS)
        self.ready: Ready | None = None
        self.broken: str | None = None
        self._started = False
        self.pipe, theirs = context.Pipe()
        lifeline, self._lifeline = context.Pipe(duplex=False)
        self.process = context.Process(
            target=child.main,
            args=(config, theirs, lifeline, self.page, self.alarm),
            name=f"qmworker-{slot.index}",
        )
        self.process.start()
        theirs.close()
        lifeline.close()
        self.page.sent()
        #: Readable once it is dead. The process's own sentinel is not: a task's forks would hold it open.
        self.death = os.pidfd_open(self._pid)
        self.killed = False

    @property
    def _pid(self) -> int:
        assert self.process.pid is not None  # it has been started
        return self.process.pid

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

    def start_work(self, session_end: float) -> None:
        """The session is open: the child may take tasks."""
        if self.ready is not None and not self._started:
            self._started = True
            self.page.session_end = session_end
            with contextlib.suppress(BrokenPipeError):  # it died meanwhile, which is noticed elsewhere
                self.pipe.send_bytes(msgspec.msgpack.encode(self.slot))

    def free_hostages(self) -> list[Lease]:
        """A task of a batch runs long: gives what its child has not started, and has the child hand in what
        ended before."""
        batch = self.page.revoke()
        wait([], _REVOKE_SECONDS)
        unstarted = self.page.unstarted(batch)
        with contextlib.suppress(BrokenPipeError):  # dead: its burial gives everything back
            self._lifeline.send_bytes(b"settle")
        return unstarted

    def drain(self) -> None:
        """Asks the child to leave when it has settled what it runs."""
        self.page.drain()
        if not self._started:  # it has nothing to settle, and would not look before it works
            self.kill()

    def kill(self) -> None:
        """Kills the child and whatever its task has started."""
        self.killed = True
        self._kill_group()
        self.process.kill()

    def bury(self) -> int:
        """After its death: ends what its task left behind, and lets everything go. Gives the exit code,
        negative for a signal."""
        self._kill_group()  # before its pid is free for somebody else
        self.process.join()
        code = self.process.exitcode or 0
        os.close(self.death)
        self.process.close()
        self.alarm.close()
        self.pipe.close()
        self._lifeline.close()
        return code

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError):  # nobody left, or it has not made its group yet
            os.killpg(self._pid, signal.SIGKILL)
