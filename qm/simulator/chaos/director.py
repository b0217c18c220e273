"""Does to the processes and connections of a run what the schedule says, and starts again what died."""

from __future__ import annotations

import contextlib
import os
import signal
from collections import Counter
from collections.abc import Sequence
from typing import Final

from qm.errors import QueueError
from qm.simulator.chaos.journal import Death, Fault, Journal
from qm.simulator.chaos.programs import Manager, Program
from qm.simulator.chaos.proxy import Proxy
from qm.simulator.chaos.schedule import Deed, Step

#: Exit code of a pool that found no manager at its first call: it is started again, as an init system would.
_UNREACHABLE: Final = 7

#: Deaths by itself after which a program is not started again.
_DEATHS_MAX: Final = 5


class Director:
    """Main thread only: child processes belong to it. `now` is the monotonic time."""

    def __init__(self, manager: Manager, pools: Sequence[Program], proxy: Proxy, journal: Journal) -> None:
        self._manager = manager
        self._pools = pools
        self._proxy = proxy
        self._journal = journal
        #: Stopped processes: when they go on, and who.
        self._stopped: list[tuple[float, int]] = []
        self._deaths: Counter[str] = Counter()
        #: What was done, by its name.
        self.done: Counter[Deed] = Counter()

    def do(self, step: Step, now: float) -> None:
        """Carries out one step. One that finds nobody to do it to does nothing."""
        pool = self._pools[int(step.draw * len(self._pools))]
        match step.deed:
            case Deed.KILL_MANAGER:
                self._proxy.manager = None
                self._kill(self._manager)
            case Deed.KILL_POOL:
                self._kill(pool)
            case Deed.KILL_CHILD | Deed.STOP_CHILD:
                children = [pid for pool in self._pools for pid in pool.children()]
                if not children:
                    return
                self._do_to(children[int(step.draw * len(children))], step, now)
            case Deed.STOP_MANAGER:
                self._stop([self._manager.pid], now + step.seconds)
            case Deed.STOP_PARENT | Deed.STOP_PARENT_LONG:
                self._stop([pool.pid], now + step.seconds)
            case Deed.STOP_POOL_LONG:
                self._stop([pool.pid, *pool.children()], now + step.seconds)
            case _:
                self._proxy.strike(step.deed, step.seconds, step.draw)
        self.done[step.deed] += 1
        self._journal.write(Fault(step.deed.value))

    def tend(self, now: float) -> None:
        """Lets go on who was stopped for long enough, starts again what died, and finds the manager.

        Raises `QueueError` where a program dies again and again without being killed.
        """
        self._let_go_on(now)
        for program in (self._manager, *self._pools):
            if (code := program.code) is not None:
                self._restart(program, code)
        if self._proxy.manager is None:
            self._proxy.manager = self._manager.address()

    def calm(self, now: float) -> None:
        """Ends all faults."""
        self._proxy.heal()
        self._stopped = [(now, pidfd) for _, pidfd in self._stopped]
        self._let_go_on(now)

    def _let_go_on(self, now: float) -> None:
        due = [pidfd for until, pidfd in self._stopped if until <= now]
        self._stopped = [(until, pidfd) for until, pidfd in self._stopped if until > now]
        for pidfd in due:
            _go_on(pidfd)

    def _kill(self, program: Program) -> None:
        program.kill()
        program.start()

    def _do_to(self, pid: int, step: Step, now: float) -> None:
        if step.deed is Deed.STOP_CHILD:
            self._stop([pid], now + step.seconds)
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def _stop(self, pids: Sequence[int], until: float) -> None:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):  # it died just now
                pidfd = os.pidfd_open(pid)  # its number may be another's before it is to go on
                signal.pidfd_send_signal(pidfd, signal.SIGSTOP)
                self._stopped.append((until, pidfd))

    def _restart(self, program: Program, code: int) -> None:
        if program is self._manager:
            self._proxy.manager = None
        if program is self._manager or code != _UNREACHABLE:
            self._journal.write(Death(program.name, code))
            self._deaths[program.name] += 1
            if self._deaths[program.name] > _DEATHS_MAX:
                raise QueueError(f"{program.name} ends again and again by itself, with exit code {code}")
        program.start()


def _go_on(pidfd: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # it was killed meanwhile
        signal.pidfd_send_signal(pidfd, signal.SIGCONT)
    os.close(pidfd)
