"""The manager: the real queue over the real store, fed with frames, its timer stepped by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qm.errors import QueueError
from qm.queue import Queue
from qm.queue.timer import forgive, tick
from qm.store.base import Transaction
from qm.wire.codec import Reply, Request, decode_request, encode, encode_error, envelope
from qm.wire.verbs import QUEUE
from tests.simulation.oracle import Oracle
from tests.simulation.process import Process
from tests.simulation.storehouse import ManagerCrash, Storehouse
from tests.simulation.world import World

#: Seconds until a dead manager is back, at most; and the timer's pause after trouble (as in qm.queue.timer).
AWAY = 8.0
TIMER_PAUSE = 1.0

#: Of the commits on a full disk: small ones still find room now and then.
REFUSED_WHEN_FULL = 0.7


class Manager(Process):
    """Its lives, one after the other. The oracle is told of everything, from outside."""

    def __init__(self, world: World, storehouse: Storehouse, oracle: Oracle) -> None:
        super().__init__(world)
        self._storehouse = storehouse
        self._faults = storehouse.faults
        self._oracle = oracle
        self.lives = 0
        self.life: int | None = None
        self.queue: Queue
        #: What the work of the last commit answered, for the oracle: after a crash nobody else knows.
        self._committed: Any = None
        self._timer_set = 0
        self._disk_full_until = 0.0
        self.start()

    def start(self) -> None:
        """A new life over what the last one has left."""
        self.lives += 1
        self.life = self.lives
        self.queue = Queue(self._storehouse.open(), self.world.clock)
        self.queue.core.draw = self.world.rng.random
        self._watch_commits()
        self.world.note("manager starts, life", self.life)
        self._oracle.restarted(self.queue)
        self._set_timer(0.0)

    def fill_disk(self, seconds: float) -> None:
        """For a while most commits are refused."""
        self._disk_full_until = self.world.time + seconds

    def _is_refused(self) -> bool:
        full = self.world.time < self._disk_full_until and not self.world.calm
        return self.world.chance(REFUSED_WHEN_FULL if full else self.world.odds.refusal)

    def receive(self, life: int, frame: bytes, answer: Callable[[bytes], None]) -> None:
        """See `network.Far`."""
        self.do(lambda: self._receive(life, frame, answer))

    def _receive(self, life: int, frame: bytes, answer: Callable[[bytes], None]) -> None:
        if life != self.life:
            return  # the connection it was sent on is gone
        request = decode_request(memoryview(frame))
        odds = self.world.odds
        if self._is_refused():
            self._faults.refuse = True
        elif self.world.chance(odds.manager_crash):
            if self.world.chance(0.5):
                self._faults.die_before = 1
            else:
                self._faults.die_after = 1
        try:
            reply = self._answer(request)
        except ManagerCrash:
            return
        answer(reply)
        if self.world.chance(odds.manager_crash / 4):
            self._crash()
        elif self.queue.core._nudge.is_set():
            self.queue.core._nudge.clear()
            self._set_timer(0.0)

    def _answer(self, request: Request) -> bytes:
        arguments = QUEUE[request.verb].decode_arguments(request.args)
        self._committed = None
        before = self._faults.commits
        try:
            result = getattr(self.queue, request.verb)(*arguments)
        except QueueError as error:
            self.world.note(request.verb, *arguments, "->", type(error).__name__, error)
            self._oracle.refused(request.verb, arguments, error)
            return envelope(Reply(request.rid, False, encode_error(error)))
        except ManagerCrash:
            held = self._faults.commits > before
            self.world.note(request.verb, *arguments, "-> crash", "after" if held else "before", "the commit")
            if held:
                states_and_orders = request.verb == "cancel"
                answer = self._committed[0] if states_and_orders else self._committed
                self._oracle.answered(request.verb, arguments, answer)
            self._crash()
            raise
        finally:
            self._faults.clear()
        self.world.note(request.verb, *arguments, "->", result)
        self._oracle.answered(request.verb, arguments, getattr(result, "statuses", result))
        return envelope(Reply(request.rid, True, encode(result)))

    def _watch_commits(self) -> None:
        commit = self.queue.core.commit
        run = commit.run

        def watched(work: Callable[[Transaction], Any], *, sync: bool = True) -> Any:
            def noting(tx: Transaction) -> Any:
                self._committed = work(tx)
                return self._committed

            return run(noting, sync=sync)

        commit.run = watched  # type: ignore[method-assign]

    def _crash(self) -> None:
        """Nothing is drained, nobody is told."""
        self.world.note("manager dies")
        self.life = None
        self._storehouse.crash()
        self._oracle.crashed()
        self.after(self.world.rng.uniform(0.1, AWAY), self.start)

    def _set_timer(self, seconds: float) -> None:
        self._timer_set += 1
        mine, life = self._timer_set, self.life
        expected = self.world.time + seconds

        def wake() -> None:
            if mine == self._timer_set and life == self.life:
                self._step_timer(self.world.time - expected)

        self.after(seconds, wake)

    def _step_timer(self, late: float) -> None:
        """One turn of the timer's loop: a sleep that has ended, and what is due."""
        core = self.queue.core
        forgive(core, late)
        self._oracle.forgiven(late)
        odds = self.world.odds
        self._faults.refuse = self._is_refused()
        if self.world.chance(odds.manager_crash):
            self._faults.die_before = self.world.rng.randint(1, 3)
        elif self.world.chance(odds.manager_crash):
            self._faults.die_after = self.world.rng.randint(1, 3)
        try:
            seconds = tick(core)
        except ManagerCrash:
            self._oracle.ticked(None)
            self._crash()
            return
        except QueueError as error:
            self.world.note("timer:", error)
            self._oracle.ticked(self.queue)
            seconds = TIMER_PAUSE
        else:
            self._oracle.ticked(self.queue, whole=True)
        finally:
            self._faults.clear()
        self._set_timer(seconds)
