"""A run: a pool of workers, the producers, and what becomes of all they send.

The first Ctrl-C (or SIGTERM) ends the sending: what is out is waited for and judged as always. The second
ends everything at once, without a verdict.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from multiprocessing.connection import wait
from types import FrameType
from typing import Final

from msgspec import Struct

from qm.client import Client
from qm.clock import SystemClock
from qm.errors import QueueError
from qm.simulator.audit import Audit, Verdict
from qm.simulator.load import TYPES
from qm.simulator.member import Member
from qm.simulator.pipe import Order
from qm.simulator.plan import Plan
from qm.simulator.pool import Pool
from qm.simulator.producer import ProducerConfig
from qm.wire.address import Address

_log = logging.getLogger(__name__)

#: Seconds that a stopped run waits for what is out; then it is judged as it stands.
_DRAIN: Final = 25.0

#: Seconds for the producers to judge it.
_FAREWELL: Final = 35.0

#: Seconds between two looks at signals, at the pool and at the time.
_TICK: Final = 0.1

#: Seconds without any result after which somebody may want to know why.
_SILENCE: Final = 5.0

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Outcome(Struct, frozen=True):
    """What came of a run. `elapsed` is the seconds it took, without the start of the pool."""

    audit: Audit
    verdict: Verdict
    elapsed: float
    #: Whether a signal ended it before all of the plan was sent.
    cut_short: bool


class Simulation:
    """One run of a plan. Main thread only: signals and child processes belong to it."""

    def __init__(
        self,
        plan: Plan,
        addresses: Sequence[Address],
        authkey: bytes,
        pool: Pool | None = None,
        show: Callable[[int, int], None] | None = None,
        tls: str = "",
    ) -> None:
        """`pool`: workers of the run's own; None: others do the work. `show` is told several times a second
        how many tasks were sent and how many of these have ended. `tls`: see `Client`."""
        self._plan = plan
        self._addresses = addresses
        self._authkey = authkey
        self._tls = tls
        self._pool = pool
        self._show = show
        self._clock = SystemClock()
        self._members: list[Member] = []
        self._audit = Audit()
        self._signals = 0
        #: The order last given, and when the run will have waited long enough for what follows from it.
        self._order: Order | None = None
        self._deadline = 0.0

    def run(self) -> Outcome:
        """Runs until all tasks are sent and judged, or until a signal.

        Raises `Unreachable` and `AuthFailed` where there is no manager, `QueueError` where a process that it
        needs dies, KeyboardInterrupt at a second signal. Leaves no process behind.
        """
        with self._signalled(), closing(self._client()) as client:
            try:
                client.status()
                if self._pool:
                    self._pool.start(client, lambda: self._signals > 0)
                began = self._clock.monotonic()
                with _ignored_signals():
                    self._start_producers()
                self._work(client)
                return self._outcome(self._clock.monotonic() - began)
            finally:
                for member in self._members:
                    member.end()
                if self._pool:
                    self._pool.stop(lambda: self._signals > 1)

    def _client(self) -> Client:
        return Client(self._addresses, self._authkey, tls=self._tls)

    def _start_producers(self) -> None:
        for number in range(self._plan.producers):
            config = ProducerConfig(
                number=number,
                plan=self._plan,
                addresses=tuple(self._addresses),
                authkey=self._authkey,
                tls=self._tls,
            )
            self._members.append(Member(config, self._audit))

    def _work(self, client: Client) -> None:
        silence = _Silence(self._clock.monotonic())
        while running := {member.pipe: member for member in self._members if not member.finished}:
            for pipe in wait(list(running), _TICK):
                running[pipe].hear()  # type: ignore[index]
            if self._pool:
                self._pool.check()
            now = self._clock.monotonic()
            self._obey_signals(now)
            if self._show:
                self._show(self._sent(), self._ended())
            if silence.is_long(now, self._ended()):
                self._explain_silence(client)

    def _obey_signals(self, now: float) -> None:
        if self._signals > 1:
            _log.warning("interrupted; what was sent is not judged")
            raise KeyboardInterrupt
        if self._order is None and self._signals:
            _log.warning("stopping; Ctrl-C again does not wait for the tasks that are out")
            self._tell(Order.STOP, now + _DRAIN)
        elif self._order is Order.STOP and now > self._deadline:
            self._tell(Order.LEAVE, now + _FAREWELL)
        elif self._order is Order.LEAVE and now > self._deadline:
            raise QueueError("the producers do not end; what they sent cannot be judged")

    def _tell(self, order: Order, deadline: float) -> None:
        self._order, self._deadline = order, deadline
        for member in self._members:
            member.tell(order)

    def _outcome(self, elapsed: float) -> Outcome:
        sent = self._sent()
        cut_short = self._plan.count is not None and sent < self._plan.count
        return Outcome(self._audit, self._audit.verdict(sent), elapsed, cut_short)

    def _explain_silence(self, client: Client) -> None:
        try:
            unserved = client.status().unserved
        except QueueError as error:  # the producers have more patience, and say so when it ends
            _log.warning("nothing ends: %s", error)
            return
        for name in unserved:
            if name in TYPES:
                _log.warning('no worker serves "%s" now; start one with: qmworker', name)

    def _sent(self) -> int:
        return sum(member.sent for member in self._members)

    def _ended(self) -> int:
        return sum(member.ended for member in self._members)

    @contextmanager
    def _signalled(self) -> Iterator[None]:
        """While inside, signals are counted, and obeyed when the run gets to it."""

        def count(number: int, frame: FrameType | None) -> None:
            self._signals += 1

        before = {number: signal.signal(number, count) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def _ignored_signals() -> Iterator[None]:
    """While inside, processes start that ignore Ctrl-C and SIGTERM for good: they have their pipes."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Silence:
    """Notices, once, that nothing has ended for long."""

    def __init__(self, now: float) -> None:
        self._ended = 0
        self._since = now
        self._noticed = False

    def is_long(self, now: float, ended: int) -> bool:
        if ended > self._ended:
            self._ended, self._since = ended, now
        if self._noticed or now - self._since < _SILENCE:
            return False
        self._noticed = True
        return True
