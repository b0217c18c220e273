"""Does to the processes and connections of a run what the schedule says, and starts again what died."""

from __future__ import annotations

import contextlib
import os
import signal
from collections import Counter
from collections.abc import Sequence
from typing import Final

from qm.errors import QueueError
from qm.simulator.chaos.database import Database
from qm.simulator.chaos.journal import Death, Fault, Journal
from qm.simulator.chaos.managers import Managers, Seat
from qm.simulator.chaos.programs import Program
from qm.simulator.chaos.schedule import Deed, Step

#: Exit code of a pool that found no manager at its first call: it is started again, as an init system would.
_UNREACHABLE: Final = 7

#: ... and of a manager that found no database.
_NO_STORE: Final = 70

#: ... and of a pool so many of whose children died before any could work. Where we killed as many, it is not
#: to blame: on a busy machine they take seconds to start.
_STILLBORN: Final = 2
_STILLBORN_MAX: Final = 3

#: Deaths by itself after which a program is not started again.
_DEATHS_MAX: Final = 5


class Director:
    """Main thread only: child processes belong to it. `now` is the monotonic time."""

    def __init__(
        self, managers: Managers, pools: Sequence[Program], database: Database | None, journal: Journal
    ) -> None:
        self._managers = managers
        self._pools = pools
        self._database = database
        self._journal = journal
        #: Stopped processes: when they go on, and who.
        self._stopped: list[tuple[float, int]] = []
        #: By the names of managers: until when they are stopped, and whether over their term.
        self._asleep: dict[str, tuple[float, bool]] = {}
        #: By the names of pools: how many of their children we have killed since they started.
        self._shots: Counter[str] = Counter()
        self._deaths: Counter[str] = Counter()
        #: What was done, by its name.
        self.done: Counter[Deed] = Counter()

    def do(self, step: Step, now: float) -> None:
        """Carries out one step. One that finds nobody to do it to does nothing."""
        if self._does(step, now):
            self.done[step.deed] += 1
            self._journal.write(Fault(step.deed.value))

    def _does(self, step: Step, now: float) -> bool:
        match step.deed:
            case Deed.KILL_MANAGER | Deed.STOP_MANAGER | Deed.STOP_MANAGER_LONG:
                return self._do_to_manager(step, now)
            case Deed.END_CONNECTIONS:
                return self._database is not None and self._database.end_connections()
            case Deed.CRASH_DATABASE:
                return self._database is not None and self._database.crash()
        return self._do_to_pool(step, now)

    def _do_to_manager(self, step: Step, now: float) -> bool:
        """One that is stopped over its term is let alone until it wakes, since that is what is to be seen."""
        long = step.deed is Deed.STOP_MANAGER_LONG
        awake = [seat for seat in self._managers.seats if not self._sleeps(seat, now, soundly=not long)]
        if not awake:
            return False
        seat = awake[int(step.draw * len(awake))]
        if step.deed is Deed.KILL_MANAGER:
            seat.proxy.manager = None
            self._kill(seat.manager)
        else:
            self._stop([seat.manager.pid], now + step.seconds)
            self._asleep[seat.manager.name] = (now + step.seconds, long)
        return True

    def _sleeps(self, seat: Seat, now: float, *, soundly: bool) -> bool:
        """Whether a manager is stopped. `soundly`: over its term."""
        until, long = self._asleep.get(seat.manager.name, (now, False))
        return now < until and (long or not soundly)

    def _do_to_pool(self, step: Step, now: float) -> bool:
        pool = self._pools[int(step.draw * len(self._pools))]
        match step.deed:
            case Deed.KILL_POOL:
                self._kill(pool)
            case Deed.KILL_CHILD | Deed.STOP_CHILD:
                children = [(pid, pool) for pool in self._pools for pid in pool.children()]
                if not children:
                    return False
                pid, pool = children[int(step.draw * len(children))]
                self._do_to_child(pid, pool, step, now)
            case Deed.STOP_PARENT | Deed.STOP_PARENT_LONG:
                self._stop([pool.pid], now + step.seconds)
            case Deed.STOP_POOL_LONG:
                self._stop([pool.pid, *pool.children()], now + step.seconds)
            case _:
                self._managers.strike(step)
        return True

    def tend(self, now: float) -> None:
        """Lets go on who was stopped for long enough, starts again what died, and finds the managers.

        Raises `QueueError` where a program dies again and again without being killed, or the database cannot
        be crashed.
        """
        self._let_go_on(now)
        if self._database is not None and (crashed := self._database.look()) is not None:
            self._journal.write(crashed)
        for seat in self._managers.seats:
            if (code := seat.manager.code) is not None:
                self._restart_manager(seat, code)
            seat.look()
        for program in self._pools:
            if (code := program.code) is not None:
                self._restart_pool(program, code)

    def calm(self, now: float) -> None:
        """Ends all faults."""
        self._managers.heal()
        self._stopped = [(now, pidfd) for _, pidfd in self._stopped]
        self._let_go_on(now)

    def _let_go_on(self, now: float) -> None:
        due = [pidfd for until, pidfd in self._stopped if until <= now]
        self._stopped = [(until, pidfd) for until, pidfd in self._stopped if until > now]
        for pidfd in due:
            _go_on(pidfd)

    def _kill(self, program: Program) -> None:
        program.kill()
        self._start(program)

    def _do_to_child(self, pid: int, pool: Program, step: Step, now: float) -> None:
        if step.deed is Deed.STOP_CHILD:
            self._stop([pid], now + step.seconds)
            return
        self._shots[pool.name] += 1
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def _stop(self, pids: Sequence[int], until: float) -> None:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):  # it died just now
                pidfd = os.pidfd_open(pid)  # its number may be another's before it is to go on
                signal.pidfd_send_signal(pidfd, signal.SIGSTOP)
                self._stopped.append((until, pidfd))

    def _restart_manager(self, seat: Seat, code: int) -> None:
        served = seat.proxy.manager is not None
        seat.proxy.manager = None
        self._restart(seat.manager, code, None if served or self._database is None else _NO_STORE)

    def _restart_pool(self, pool: Program, code: int) -> None:
        shot = code == _STILLBORN and self._shots[pool.name] >= _STILLBORN_MAX
        self._restart(pool, code, code if shot else _UNREACHABLE)

    def _restart(self, program: Program, code: int, in_vain: int | None) -> None:
        """`in_vain`: the exit code by which it says that what it needs was away."""
        if code != in_vain:
            self._journal.write(Death(program.name, code))
            self._deaths[program.name] += 1
            if self._deaths[program.name] > _DEATHS_MAX:
                raise QueueError(f"{program.name} ends again and again by itself, with exit code {code}")
        self._start(program)

    def _start(self, program: Program) -> None:
        self._shots[program.name] = 0
        program.start()


def _go_on(pidfd: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # it was killed meanwhile
        signal.pidfd_send_signal(pidfd, signal.SIGCONT)
    os.close(pidfd)
