"""Calls to one of several managers of the same queue: at random, while it works, and then another.

    call ─► the manager drawn ─► its answer
                └─ gone, or stopping ─► another that lets us in, drawn of the rest ─► ... ─► one error for all

Nobody is preferred, and nobody is for ever: after some minutes the manager is drawn anew, of all. So a fleet
that has lost one spreads again over those that are there, and one that came back has its share within ten
minutes, without anybody who would have to tell.

Each call may be said twice without harm, so that one whose answer was lost is said again at another manager.
A session's calls are answered by the manager to which its pool has attached; so a client that holds one draws
anew only when it renews, and hears there that it has to attach again.
"""

from __future__ import annotations

import logging
import os
import random
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from qm.clock import Clock, SystemClock
from qm.errors import AuthFailed, Draining, NotCommitted, QueueError, TimedOut, Unreachable
from qm.wire.address import Address
from qm.wire.channels import Channels, Dial, Limits
from qm.wire.failures import Refusals, again, none_answers
from qm.wire.frames import Connection

_log = logging.getLogger(__name__)

#: Seconds until the manager is drawn anew: from the first to the second of these, so that a fleet does not do
#: it in step.
STAY: Final = (300.0, 600.0)

#: Seconds for a manager that was drawn anew to let us in. The caller pays for it, and has one that answers.
_PROBE: Final = Limits(connect=0.25, whole=0.5, brisk=True)

#: ... for one of several where it matters: one round after the other gives all of them more time. A host that
#: is gone costs the first of these; in the second a manager that speaks TLS has told us so.
_LIMITS: Final = (Limits(1.0, 3.5, True), Limits(2.0, 5.0, True), Limits(5.0, 5.0, True))

#: Seconds after which a round in vain says nothing about the network any more.
_ROUND_COUNTS: Final = 60.0

#: Seconds for which a manager may fail to commit until we try another, and after which that is forgotten.
_DOUBT: Final = 1.0
_DOUBT_COUNTS: Final = 10.0

#: Why we go elsewhere, at once.
_LEAVE: Final = (Unreachable, Draining, AuthFailed)

#: Their call numbers are for one try: the caller makes another call of it.
_SAID_ONCE: Final = frozenset({"take", "exchange"})

#: A renewal must be answered in this part of the time that other calls have: the session's term runs.
_RENEWAL: Final = 0.5

Failures = dict[Address, QueueError]


class Failover:
    """A `qm.wire.channels.Route` to several managers. Thread-safe; a forked child draws for itself."""

    def __init__(
        self, addresses: Sequence[Address], authkey: bytes, dial: Dial, clock: Clock | None = None
    ) -> None:
        self.addresses = tuple(addresses)
        self._authkey = authkey
        self._dial = dial
        self._clock = clock or SystemClock()
        #: Is told the place of each manager that we go to, before it is called.
        self.tell: Callable[[int], object] = lambda place: None
        self._routes = {place: Channels(place, authkey, self._dial_in_time) for place in self.addresses}
        self._refusals = Refusals(self._clock)
        #: Since when our manager has not committed what this verb does; None: it has.
        self._doubt: tuple[str, float] | None = None
        #: We hold a session.
        self._attached = False
        #: How many rounds were in vain, one after another; when the last was, and how it ended.
        self._rounds = 0
        self._round_at = 0.0
        self._round: QueueError | None = None
        self._begin()

    def _begin(self) -> None:
        #: Held by who looks for another manager; by one thread twice where a signal handler calls meanwhile.
        self._moving = threading.RLock()
        self._here = self._routes[random.choice(self.addresses)]
        self._until = self._clock.monotonic() + random.uniform(*STAY)
        self._pid = os.getpid()  # last: a second thread must not pass before the rest is done

    @property
    def address(self) -> Address:
        """The manager that is called now."""
        return self._here.address

    def call(self, target: str, verb: str, args: bytes, timeout: float, waits: bool = False) -> bytes:
        """As `Channels.call`. Where no manager answers it raises one error that names all: `AuthFailed`,
        `Draining` or `NotCommitted` where all agree, else `Unreachable`."""
        if os.getpid() != self._pid:
            self._begin()
        if verb == "renew":
            timeout *= _RENEWAL
        elif verb in ("attach", "detach"):
            self._attached = verb == "attach"
        if self._clock.monotonic() >= self._until and (verb == "renew" or not self._attached):
            self._draw_anew()
        here = self._here
        try:
            answer = here.call(target, verb, args, timeout, waits)
        except (*_LEAVE, NotCommitted) as error:
            if isinstance(error, NotCommitted) and not self._doubts(verb):
                raise
            answer = self._call_elsewhere(here, error, partial(_say, target, verb, args, timeout, waits))
        except TimedOut:
            self._leave(here)
            raise
        self._trust(verb)
        if here is not self._here:
            here.close()  # we have left it meanwhile: nothing is kept there
        return answer

    def close(self) -> None:
        """Closes the connections; calls under way are still answered."""
        for route in self._routes.values():
            route.close()

    def _call_elsewhere(self, here: Channels, error: QueueError, say: partial[bytes]) -> bytes:
        """The answer of another manager; each is tried once."""
        rounds = self._rounds
        failures: Failures = {here.address: self._refusals.note(here.address, error)}
        while True:
            found = self._find(failures, rounds)
            if say.args[1] in _SAID_ONCE:
                raise error
            try:
                return bytes(say(found))
            except (*_LEAVE, NotCommitted) as another:
                failures[found.address] = self._refusals.note(found.address, another)
            except TimedOut:
                self._leave(found)
                raise

    def _find(self, failures: Failures, rounds: int) -> Channels:
        """A manager that lets us in and has not failed this call: ours from now on. One thread looks, and
        those who wait for it take what it has found."""
        with self._moving:
            if self._round is not None and rounds != self._rounds:  # in vain, while we waited
                raise again(self._round)
            if self._here.address not in failures:
                return self._here
            rest = [place for place in self.addresses if place not in failures]
            for place in random.sample(rest, len(rest)):
                route = self._routes[place]
                try:
                    if refusal := self._refusals.of(place):
                        raise refusal
                    route.open()
                except QueueError as error:
                    failures[place] = self._refusals.note(place, error)
                else:
                    why = next(reversed(failures.values()))
                    self._move(route)
                    _log.info("calling the manager at %s from now on: %s", place, why)
                    return route
            self._rounds += 1
            self._round_at = self._clock.monotonic()
            self._round = in_vain = none_answers(failures)
            welcome = [place for place in self.addresses if not self._refusals.of(place)] or self.addresses
            self._go_to(self._routes[random.choice(welcome)])  # where the next try begins
            raise in_vain

    def _draw_anew(self) -> None:
        """Another manager, perhaps, if it lets us in at once."""
        self._until = self._clock.monotonic() + random.uniform(*STAY)  # first: others go on meanwhile
        with self._moving:
            drawn = self._routes[random.choice(self.addresses)]
            if drawn is self._here or self._refusals.of(drawn.address):
                return
            try:
                drawn.adopt(self._dial(drawn.address, self._authkey, limits=_PROBE))
            except QueueError as error:
                self._refusals.note(drawn.address, error)
                _log.debug("staying with the manager at %s: %s", self._here.address, error)
                return
            self._move(drawn)
            _log.debug("calling the manager at %s from now on: it was drawn", drawn.address)

    def _leave(self, here: Channels) -> None:
        """It let a call wait in vain: the next one goes elsewhere first."""
        with self._moving:
            if self._here is here:
                rest = [place for place in self.addresses if place != here.address]
                self._move(self._routes[random.choice(rest)])

    def _move(self, route: Channels) -> None:
        """It lets us in, or may well."""
        self._until = self._clock.monotonic() + random.uniform(*STAY)
        self._doubt, self._rounds, self._round = None, 0, None
        self._go_to(route)

    def _go_to(self, route: Channels) -> None:
        before, self._here = self._here, route
        if before is not route:
            before.close()
            self.tell(self.addresses.index(route.address))

    def _doubts(self, verb: str) -> bool:
        """A call was not committed. Gives whether that has gone on for so long that another manager may do
        better: it may be ours alone that has lost the database."""
        now, doubt = self._clock.monotonic(), self._doubt
        if doubt is None or now - doubt[1] > _DOUBT_COUNTS:
            self._doubt = doubt = verb, now
        return now - doubt[1] >= _DOUBT

    def _trust(self, verb: str) -> None:
        """A call went well. Of one that only reads this says nothing about the others."""
        doubt = self._doubt
        if doubt is not None and doubt[0] == verb:
            self._doubt = None

    def _dial_in_time(self, address: Any, authkey: bytes) -> Connection:
        recent = self._clock.monotonic() - self._round_at < _ROUND_COUNTS
        rounds = min(self._rounds, len(_LIMITS) - 1) if recent else 0
        return self._dial(address, authkey, limits=_LIMITS[rounds])


def _say(target: str, verb: str, args: bytes, timeout: float, waits: bool, route: Channels) -> bytes:
    return route.call(target, verb, args, timeout, waits)
