"""Why a store is not ready to be managed, whichever the dialect: its schema is of before, or it is a copy
that is not whole."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from qm.errors import StoreDamaged, StoreTooOld
from qm.store.sql import Migration

#: The table that is there while a store is being made by `qmanager copy`; it has one row, one column `mark`.
MARK_TABLE: Final = "copying"


class Mark(msgspec.Struct, frozen=True):
    """What an unfinished copy says of itself: where it comes from (shown without secrets), when it was begun
    (seconds), and what the source was then: its next number, and the rows of each table."""

    source: str
    begun: float
    number: int
    rows: dict[str, int]


def encode_mark(mark: Mark) -> str:
    """As it stands in the table."""
    return msgspec.json.encode(mark).decode()


def decode_mark(text: str) -> Mark:
    """See `encode_mark`. Raises `msgspec.MsgspecError`."""
    return msgspec.json.decode(text, type=Mark)


def is_unfinished(shown: str, text: str) -> StoreDamaged:
    """The error for a store that holds the mark `text`; `shown` is its URL without secrets."""
    try:
        mark = decode_mark(text)
    except msgspec.MsgspecError:
        return StoreDamaged(f"the store {shown} is a copy that was not finished", hint="copy it anew")
    begun = datetime.fromtimestamp(mark.begun, UTC)
    return StoreDamaged(
        f"the store {shown} is the unfinished copy of {mark.source}, begun {begun:%Y-%m-%d %H:%M} UTC",
        hint=f"finish it: qmanager copy {mark.source} {shown}; with --anew it begins from the start",
    )


def too_old(shown: str, missing: Sequence[Migration]) -> StoreTooOld:
    """The error for a store that misses migrations, where we may not make them."""
    names = ", ".join(step.name for step in missing)
    return StoreTooOld(
        f"the store {shown} misses {_number(missing)}: {names}",
        hint=f"qmanager migrate --store {shown} makes what is missing; with --plan it only shows it",
    )


def _number(missing: Sequence[Migration]) -> str:
    return "a migration" if len(missing) == 1 else f"{len(missing)} migrations"
