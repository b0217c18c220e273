"""Calls to that one of several managers which somebody else has chosen, and to no other.

A session is served by one manager at a time, the one to which its pool has attached. So a pool's parent
chooses (see `qm.wire.failover`), and its children follow: one that cannot reach that manager waits until its
parent has another, or until it can.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from qm.wire.address import Address
from qm.wire.channels import Channels, Dial, Limits
from qm.wire.frames import Connection

#: The parent may have another one soon: so no dialling for long.
_LIMITS: Final = Limits(connect=1.0, whole=3.5, brisk=True)


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
        self._here = self._routes[0]

    @property
    def address(self) -> Address:
        """The manager that is called now."""
        return self._routes[self._which()].address

    def call(self, target: str, verb: str, args: bytes, timeout: float, waits: bool = False) -> bytes:
        """As `Channels.call`."""
        route = self._routes[self._which()]
        if route is not self._here:
            before, self._here = self._here, route
            before.close()
        answer = route.call(target, verb, args, timeout, waits)
        if route is not self._here:
            route.close()  # it is left meanwhile: nothing is kept there
        return answer

    def close(self) -> None:
        """Closes the connections; calls under way are still answered."""
        for route in self._routes:
            route.close()
