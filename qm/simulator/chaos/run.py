"""A chaos run: start, faults under load, calm, drain, audit."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from multiprocessing.connection import wait
from pathlib import Path
from typing import Final

from qm.client import Client
from qm.clock import SystemClock
from qm.errors import BadRequest, QueueError, TimedOut
from qm.limits import SESSION_TERM
from qm.simulator.chaos.database import Database
from qm.simulator.chaos.director import Director
from qm.simulator.chaos.hand import Hand
from qm.simulator.chaos.journal import Journal, read_journals
from qm.simulator.chaos.managers import KEY, Managers
from qm.simulator.chaos.oracle import judge
from qm.simulator.chaos.producer import ProducerConfig
from qm.simulator.chaos.programs import MANAGER, Program, pool
from qm.simulator.chaos.reading import attempted, read_all
from qm.simulator.chaos.result import Progress, Result
from qm.simulator.chaos.schedule import MANAGER_TERM, ChaosPlan, Deed, schedule
from qm.wire.keys import read_key

#: Seconds for all managers to serve, also on a busy machine and after a kill with a log to recover.
_START: Final = 60.0

#: Seconds for the queue to drain: see `Chaos`.
_DRAIN: Final = 60.0

#: Seconds for a pool to leave.
_LEAVE: Final = 10.0

_TICK: Final = 0.02

#: Seconds between two looks whether the queue is empty.
_LOOK: Final = 0.25


class Chaos:
    """One run of a plan. Main thread only."""

    def __init__(
        self,
        plan: ChaosPlan,
        show: Callable[[Progress], None] = lambda progress: None,
        manager: Sequence[str] = MANAGER,
        term: float = SESSION_TERM,
        drain: float = _DRAIN,
        manager_term: float = MANAGER_TERM,
    ) -> None:
        """`show` is told many times a second how far it is. `manager`: the command of another manager than
        the installed one; `term`: its sessions', in seconds, and `manager_term` its own. `drain`: seconds,
        beside two terms, for the queue to drain once the faults are over."""
        self._plan = plan
        self._show = show
        self._terms = (term, manager_term)
        self._drained_within = 2 * term + drain
        self._clock = SystemClock()
        self._folder = Path(tempfile.mkdtemp(prefix="qmanager-chaos-"))
        self._journals = self._folder / "journals"
        self._journals.mkdir()
        self._journal = Journal(self._journals, "director")
        self._managers = Managers(self._folder, manager, plan, self._journals)
        self._pools: list[Program] = [
            pool(self._folder, number, plan.processes, self._managers.addresses, self._journals)
            for number in range(plan.pools)
        ]
        self._database: Database | None = None
        if plan.store is not None and plan.has_database:
            self._database = Database(plan.store, plan.database_crash, self._folder / "database.log")
        self._director = Director(self._managers, self._pools, self._database, self._journal)
        self._hands: list[Hand] = []
        self._began = self._clock.monotonic()

    def run(self) -> Result:
        """Runs it all. Raises `BadRequest` for a store that is not empty, `QueueError` where it cannot be run
        to its end. Leaves no process behind, and its folder only where something is wrong."""
        try:
            with ExitStack() as stack:
                stack.callback(self._end)
                self._run()
        except (BadRequest, KeyboardInterrupt):
            shutil.rmtree(self._folder)
            raise
        except QueueError as error:
            error.advise(f"the logs are kept in {self._folder}")
            raise
        return self._judge()

    def _run(self) -> None:
        self._start()
        self._break_things()
        self._calm()
        self._drain()
        self._read()

    def _judge(self) -> Result:
        findings = judge(entry.event for entry in read_journals(self._journals))
        findings.complaints += self._managers.nonsense
        elapsed = self._clock.monotonic() - self._began
        if findings.holds:
            shutil.rmtree(self._folder)
        return Result(self._plan, findings, elapsed, None if findings.holds else self._folder)

    def _start(self) -> None:
        self._managers.start()
        self._wait_for_managers()
        with self._clients() as (client, *_):
            if client.status().states and sum(client.status().states.values()):
                raise BadRequest("the store is not empty: the audit would find tasks that nobody here added")
        for program in self._pools:
            program.start()
        for number in range(self._plan.producers):
            config = ProducerConfig(
                number=number,
                seed=self._plan.seed,
                addresses=self._managers.addresses,
                authkey=read_key(self._folder / KEY),
                journals=str(self._journals),
            )
            self._hands.append(Hand(config))

    def _break_things(self) -> None:
        began = self._clock.monotonic()
        for step in schedule(self._plan, *self._terms):
            while (now := self._clock.monotonic()) < began + step.at:
                self._turn("faults", min(_TICK, began + step.at - now))
            self._director.do(step, now)
            self._turn("faults", 0)
        while self._clock.monotonic() < began + self._plan.duration:
            self._turn("faults", _TICK)

    def _calm(self) -> None:
        """Ends all faults. A crash of the database takes its time."""
        self._director.calm(self._clock.monotonic())
        while self._database is not None and self._database.is_crashing:
            self._turn("calm", _TICK)

    def _drain(self) -> None:
        """Waits until the producers have read all, and no manager has anything that has not ended."""
        for hand in self._hands:
            hand.stop()
        deadline = self._clock.monotonic() + self._drained_within
        self._wait_for_managers()
        with self._clients() as clients:
            look = 0.0
            while (now := self._clock.monotonic()) < deadline:
                self._turn("drain", _TICK)
                if now < look or not all(hand.finished for hand in self._hands):
                    continue
                look = now + _LOOK
                states = [client.status() for client in clients]
                if all(status.wait == status.progress == 0 for status in states):
                    return

    def _read(self) -> None:
        for program in self._pools:
            program.end(_LEAVE)
        with self._clients() as (client, *_):
            read_all(client, attempted(read_journals(self._journals)), self._journal)

    def _turn(self, phase: str, seconds: float) -> None:
        """Hears the producers for at most so many seconds, and sees to the rest."""
        pipes = {hand.pipe: hand for hand in self._hands if not hand.finished}
        for pipe in wait(list(pipes), seconds):
            pipes[pipe].hear()  # type: ignore[index]
        now = self._clock.monotonic()
        self._director.tend(now)
        self._show(self._progress(phase, now))

    def _progress(self, phase: str, now: float) -> Progress:
        done = self._director.done
        return Progress(
            phase,
            now - self._began,
            sum(hand.added for hand in self._hands),
            sum(hand.ended for hand in self._hands),
            done[Deed.KILL_MANAGER],
            done[Deed.KILL_CHILD] + done[Deed.KILL_POOL],
            done.total(),
        )

    def _wait_for_managers(self) -> None:
        """Until all serve. Raises `QueueError` where one ends instead at its first start, `TimedOut`."""
        deadline = self._clock.monotonic() + _START
        while not self._managers.all_serve():
            if self._hands:
                self._turn("drain", _TICK)
            else:
                self._managers.check()
                wait([], _TICK)
            if self._clock.monotonic() > deadline:
                raise TimedOut(f"the managers did not serve within {_START:g} s")

    @contextmanager
    def _clients(self) -> Iterator[list[Client]]:
        """A client of each manager itself, past its proxy."""
        key = read_key(self._folder / KEY)
        with ExitStack() as stack:
            yield [
                stack.enter_context(closing(Client(seat.manager.address(), key, tls="")))
                for seat in self._managers.seats
            ]

    def _end(self) -> None:
        self._director.calm(self._clock.monotonic())
        for hand in self._hands:
            hand.end()
        for program in self._pools:
            program.kill()
        if self._database is not None:
            self._database.end()
        self._managers.end(_LEAVE)
