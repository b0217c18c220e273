"""Why each of several managers failed a call: the one error that says so, and who refused our key of late."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from qm.clock import Clock
from qm.errors import AuthFailed, QueueError, Unreachable, by_code
from qm.wire.address import Address

#: Seconds for which a manager that refused our key is not asked again while there are others.
_REFUSED: Final = 10.0


class Refusals:
    """The managers that refused our key a moment ago: to ask at every call would be a line in their logs."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        #: Until when each is left alone, and what it said.
        self._told: dict[Address, tuple[float, QueueError]] = {}

    def note(self, place: Address, error: QueueError) -> QueueError:
        """What a manager said, whatever it was. Gives it back."""
        if isinstance(error, AuthFailed) and not self.of(place):
            self._told[place] = (self._clock.monotonic() + _REFUSED, error)
        return error

    def of(self, place: Address) -> QueueError | None:
        """What the manager would say again, if it refused us."""
        until, error = self._told.get(place, (0.0, None))
        if error is None or self._clock.monotonic() >= until:
            return None
        return again(error)


def again(error: QueueError) -> QueueError:
    """The same error for somebody else: one object has one traceback."""
    return by_code(error.code, str(error), error.hint)


def none_answers(failures: Mapping[Address, QueueError]) -> QueueError:
    """The one error for all managers that failed a call: of their kind where they agree."""
    kinds = {type(error) for error in failures.values()}
    first = next(iter(failures.values()))
    told = ", ".join(_tell(place, error) for place, error in failures.items())
    if len(kinds) == 1 and kinds != {Unreachable}:
        return by_code(first.code, f"none of {len(failures)} managers serves us: {told}", first.hint)
    return Unreachable(
        f"none of {len(failures)} managers can be reached: {told}",
        hint='start one with "qmanager", or name others by QM_RPC',
    )


def _tell(place: Address, error: QueueError) -> str:
    text = getattr(error, "why", "") or str(error)
    return text if str(place) in text else f"{place} ({text})"
