"""Frames between processes: lost, doubled, delayed, overtaken by others.

The bytes are the real ones: calls and answers go through `qm.wire`, so what the queue gets is what a peer's
frames become, and never an object that two sides share. What is under way to a manager dies with it, as its
connections do; what it has answered still arrives.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from qm.errors import Draining, NotCommitted, QueueError
from qm.wire.codec import Request, decode_error, decode_reply, encode, envelope
from qm.wire.verbs import QUEUE
from tests.simulation.process import Process
from tests.simulation.world import Happening, World

#: Seconds until a caller gives up waiting for an answer, and until it calls again.
PATIENCE = 3.0
PAUSE = 0.3


class Far(Protocol):
    """The manager's end."""

    #: Which of its lives it is in; None: it is down.
    life: int | None

    def receive(self, life: int, frame: bytes, answer: Callable[[bytes], None]) -> None:
        """A frame arrives that was sent to that life."""


class Network:
    """Carries frames."""

    def __init__(self, world: World) -> None:
        self._world = world
        #: When the last of all frames so far arrives.
        self.quiet_from = 0.0

    def carry(self, deliver: Happening) -> None:
        """Delivers something once, never or twice."""
        if self._world.chance(self._world.odds.loss):
            return
        for _ in range(2 if self._world.chance(self._world.odds.double) else 1):
            delay = self._delay()
            self.quiet_from = max(self.quiet_from, self._world.time + delay)
            self._world.after(delay, deliver)

    def _delay(self) -> float:
        if self._world.chance(self._world.odds.slow):
            return self._world.rng.uniform(0.0, 60.0)
        return self._world.rng.expovariate(50.0)


class Line:
    """One caller's calls, one at a time, each said again until it is answered."""

    def __init__(self, process: Process, network: Network, far: Far) -> None:
        self._process = process
        self._network = network
        self._far = far
        self._number = 0

    def call(
        self,
        verb: str,
        arguments: Callable[[], tuple[Any, ...]],
        then: Callable[[Any], object],
        refused: Callable[[QueueError], object] | None = None,
    ) -> None:
        """Says `verb` until it is answered; `arguments` are made anew for every try. `then` gets the
        answer, `refused` an error that trying again does not mend; without it, that is a violation."""
        self._number += 1
        number = self._number
        signature = QUEUE[verb]
        packed = encode(signature.arguments(*arguments()))
        frame = envelope(Request(number, "queue", verb, packed))

        def again() -> None:
            if self._number == number:
                self.call(verb, arguments, then, refused)

        def heard(reply: bytes) -> None:
            if self._number != number:
                return  # the answer to a try that was given up
            answered = decode_reply(memoryview(reply))
            assert answered.rid == number
            if answered.ok:
                self._number += 1
                then(signature.decode_answer(answered.body))
                return
            error = decode_error(answered.body)
            if isinstance(error, NotCommitted | Draining):
                self._process.after(PAUSE, again)
            elif refused is not None:
                self._number += 1
                refused(error)
            else:
                raise error

        self._process.after(PATIENCE, again)
        life = self._far.life
        if life is None:
            return
        process, network, far = self._process, self._network, self._far

        def arrived() -> None:
            far.receive(life, frame, lambda reply: network.carry(lambda: process.do(lambda: heard(reply))))

        network.carry(arrived)
