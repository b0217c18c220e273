"""What policy can say about a task that did not finish."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct


class Again(Struct, frozen=True):
    """It runs again at `at` (seconds since 1970), at the tail; at or before now: it waits at once."""

    at: float


class Back(Struct, frozen=True):
    """It goes back to its old place, as if it had never been taken."""


class Bury(Struct, frozen=True):
    """It has failed for good. `reason` is for people."""

    reason: str


class Cancel(Struct, frozen=True):
    """Somebody cancelled it while it ran: it ends as cancelled, however its attempt ended."""


Decision: TypeAlias = Again | Bury | Cancel
