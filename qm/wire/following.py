"""Calls to that one of several managers which somebody else has chosen, and to no other.

A session is served by one manager at a time, the one to which its pool has attached. So a pool's parent
chooses (see `qm.wire.failover`), and its children follow: one that cannot reach that manager waits until its
parent has another, or until it can. What it said at the one before is answered there for a moment more, and
is then said again at the new one: the other may stand still.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, Final

from qm.wire.address import Address
from qm.wire.channels import Channels, Dial, Limits
from qm.wire.frames import Connection

#: The parent may have another one soon: so no dialling for long.
_LIMITS: Final = Limits(connect=1.0, whole=3.5, brisk=True)

#: Seconds between two looks whether we have been sent elsewhere. So long at least a call is still answered at
#: the manager that was left.
_LOOK: Final = 2.0


class Following:
    """A `qm.wire.channels.Route` to a manager that may become another one at any time. Thread-safe."""

    def __init__(
        self, addresses: Sequence[Address], authkey: bytes, dial: Dial, which: Callable[[], int]
    ) -> None:
        """`which`: the place in `addresses` of the manager to call now; asked at each call."""

        def dial_in_time(address: Any, authkey: bytes) -> Connection:
            return dial(address, authkey, limits=_LIMITS)

        self._routes = [Channels(address, authkey, dial_in_time) for address in addresses]
        self._which = which
        self._seen = which()
        self._closed = threading.Event()
        threading.Thread(target=self._watch, name="qm-following", daemon=True).start()

    @property
    def address(self) -> Address:
        """The manager that is called now."""
        return self._routes[self._which()].address

    def call(self, target: str, verb: str, args: bytes, timeout: float, waits: bool = False) -> bytes:
        """As `Channels.call`."""
        return self._routes[self._which()].call(target, verb, args, timeout, waits)

    def look(self) -> None:
        """Leaves the managers that were left already at the last look."""
        place = self._which()
        if place == self._seen:
            for other, route in enumerate(self._routes):
                if other != place:
                    route.cut()
        self._seen = place

    def close(self) -> None:
        """Closes the connections; calls under way are still answered."""
        self._closed.set()
        for route in self._routes:
            route.close()

    def _watch(self) -> None:
        while not self._closed.wait(_LOOK):
            self.look()
