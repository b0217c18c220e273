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
from qm.simulator.chaos.director import Director
from qm.simulator.chaos.hand import Hand
from qm.simulator.chaos.journal import Journal, read_journals
from qm.simulator.chaos.oracle import judge
from qm.simulator.chaos.producer import ProducerConfig
from qm.simulator.chaos.programs import MANAGER, Manager, Program, pool
from qm.simulator.chaos.proxy import Proxy
from qm.simulator.chaos.reading import attempted, read_all
from qm.simulator.chaos.result import Progress, Result
from qm.simulator.chaos.schedule import ChaosPlan, Deed, schedule
from qm.wire.keys import read_key

#: Seconds for a manager to serve, also on a busy machine and after a kill with a log to recover.
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
    ) -> None:
        """`show` is told many times a second how far it is. `manager`: the command of another manager than
        the installed one; `term`: its sessions', in seconds. `drain`: seconds, beside two terms, for the
        queue to drain once the faults are over."""
        self._plan = plan
        self._show = show
        self._term = term
        self._drained_within = 2 * term + drain
        self._clock = SystemClock()
        self._folder = Path(tempfile.mkdtemp(prefix="qmanager-chaos-"))
        self._journals = self._folder / "journals"
        self._journals.mkdir()
        store = plan.store or f"sqlite:{self._folder / 'queue.db'}"
        self._journal = Journal(self._journals, "director")
        self._proxy = Proxy(Journal(self._journals, "proxy"))
        self._manager = Manager(self._folder, manager, store, plan.durability)
        self._pools: list[Program] = [
            pool(self._folder, number, plan.processes, self._proxy.address, self._journals)
            for number in range(plan.pools)
        ]
        self._director = Director(self._manager, self._pools, self._proxy, self._journal)
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
        self._director.calm(self._clock.monotonic())
        self._drain()
        self._read()

    def _judge(self) -> Result:
        findings = judge(entry.event for entry in read_journals(self._journals))
        findings.complaints += self._proxy.nonsense
        elapsed = self._clock.monotonic() - self._began
        if findings.holds:
            shutil.rmtree(self._folder)
        return Result(self._plan, findings, elapsed, None if findings.holds else self._folder)

    def _start(self) -> None:
        self._proxy.start()
        self._manager.start()
        self._wait_for_manager()
        with self._client() as client:
            if client.status().states and sum(client.status().states.values()):
                raise BadRequest("the store is not empty: the audit would find tasks that nobody here added")
        for program in self._pools:
            program.start()
        for number in range(self._plan.producers):
            config = ProducerConfig(
                number=number,
                seed=self._plan.seed,
                address=self._proxy.address,
                authkey=read_key(self._folder / "authkey"),
                journals=str(self._journals),
            )
            self._hands.append(Hand(config))

    def _break_things(self) -> None:
        began = self._clock.monotonic()
        for step in schedule(self._plan, self._term):
            while (now := self._clock.monotonic()) < began + step.at:
                self._turn("faults", min(_TICK, began + step.at - now))
            self._director.do(step, now)
            self._turn("faults", 0)
        while self._clock.monotonic() < began + self._plan.duration:
            self._turn("faults", _TICK)

    def _drain(self) -> None:
        """Waits until the producers have read all, and the manager has nothing that has not ended."""
        for hand in self._hands:
            hand.stop()
        deadline = self._clock.monotonic() + self._drained_within
        self._wait_for_manager()
        with self._client() as client:
            look = 0.0
            while (now := self._clock.monotonic()) < deadline:
                self._turn("drain", _TICK)
                if now < look or not all(hand.finished for hand in self._hands):
                    continue
                look = now + _LOOK
                status = client.status()
                if status.wait == status.progress == 0:
                    return

    def _read(self) -> None:
        for program in self._pools:
            program.end(_LEAVE)
        with self._client() as client:
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

    def _wait_for_manager(self) -> None:
        """Until the manager serves. Raises `QueueError` where it ends instead, `TimedOut`."""
        deadline = self._clock.monotonic() + _START
        while (address := self._manager.address()) is None:
            if self._manager.code is not None and not self._hands:
                raise QueueError(
                    f"the manager ended with exit code {self._manager.code}",
                    hint="what it said is in manager.log",
                )
            if self._clock.monotonic() > deadline:
                raise TimedOut(f"the manager did not serve within {_START:g} s")
            wait([], _TICK)
        self._proxy.manager = address

    @contextmanager
    def _client(self) -> Iterator[Client]:
        """A client of the manager itself, past the proxy."""
        address = self._manager.address()
        with closing(Client(address, read_key(self._folder / "authkey"), tls="")) as client:
            yield client

    def _end(self) -> None:
        self._director.calm(self._clock.monotonic())
        for hand in self._hands:
            hand.end()
        for program in self._pools:
            program.kill()
        self._manager.end(_LEAVE)
        self._proxy.stop()
