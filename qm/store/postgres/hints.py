"""Hints as they travel: JSON in the payload of a NOTIFY, which has 8,000 bytes at most."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final, TypeVar

import msgspec

from qm.store.shared import Hints, Wants

T = TypeVar("T")

#: What one payload carries, at worst 7,000 bytes: ids and types have 64 characters, a cancelled task two ids
#: and two numbers.
_TYPES, _IDS, _LEASES = 80, 100, 35

#: Ids that are told of one batch. Who waits for one that is left out sees its end a second later.
_TOLD_MAX: Final = 2000


class Message(Hints, omit_defaults=True, kw_only=True):
    """Hints and who sent them. None: not a manager, but a program that adds tasks by SQL."""

    sender: int | None = None
    #: What the sender wants to hear of from now on, besides what it wanted before.
    hungry: bool = False
    watching: bool = False


class Batch:
    """Hints that gather until they are sent."""

    def __init__(self) -> None:
        self._waiting: dict[str, int] = {}
        self._ended: list[str] = []
        self._all = Message()

    def add(self, hints: Hints) -> None:
        """Adds hints to those that are there."""
        for name, tasks in hints.waiting.items():
            self._waiting[name] = self._waiting.get(name, 0) + tasks
        self._ended += hints.ended[: _TOLD_MAX - len(self._ended)]
        self._all.cancelled += hints.cancelled
        dues = [due for due in (self._all.due, hints.due) if due is not None]
        self._all.due = min(dues, default=None)
        self._all.moved |= hints.moved

    def want(self, wants: Wants) -> None:
        """Adds what the sender wants to hear of."""
        self._all.hungry |= wants.hungry
        self._all.watching |= wants.watching

    def messages(self, sender: int, wanted: Wants) -> list[str]:
        """The payloads, without what nobody wants."""
        said = self._all
        plain = Message(
            sender=sender, due=said.due, moved=said.moved, hungry=said.hungry, watching=said.watching
        )
        found = [plain] if plain != Message(sender=sender) else []
        if wanted.hungry:
            types = [*self._waiting.items()]
            found += [Message(sender=sender, waiting=dict(some)) for some in _parts(types, _TYPES)]
        if wanted.watching:
            found += [Message(sender=sender, ended=some) for some in _parts(self._ended, _IDS)]
        found += [Message(sender=sender, cancelled=some) for some in _parts(said.cancelled, _LEASES)]
        return [msgspec.json.encode(message).decode() for message in found]


def decode(payload: str) -> Message | None:
    """The message in a payload; None where it is none, as anybody may say anything on the channel."""
    try:
        return msgspec.json.decode(payload, type=Message)
    except msgspec.DecodeError:
        return None


def _parts(items: Sequence[T], size: int) -> Iterator[list[T]]:
    rest = iter(items)
    while some := [*islice(rest, size)]:
        yield some
