"""The checksum of a table: SHA-256 over its rows in the order of their keys, each packed by msgpack, in which
whole numbers, fractions, texts and bytes differ. It is the same for the same rows in any dialect."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

import msgspec

from qm.store.moving.ends import Row
from qm.store.moving.tables import Table

#: Rows packed and hashed at a time, as far as they are small: calls cost more than bytes.
_ROWS: Final = 256

#: What stands for a NUL in a text where the store keeps none; see qm/store/postgres/statements.py.
NUL, SIGN = "\0", "\u2400"


class Checksum(NamedTuple):
    """Of how many rows, and in hex."""

    rows: int
    digest: str


def checksum(rows: Iterable[Row], on_rows: Callable[[int], None]) -> Checksum:
    """Reads all `rows`. `on_rows` hears how many were read since it heard last."""
    pack = msgspec.msgpack.Encoder().encode_into
    seen = hashlib.sha256()
    buffer = bytearray()
    number = told = 0
    for number, row in enumerate(rows, 1):
        pack(row, buffer, -1)
        if number - told == _ROWS or len(buffer) > 1 << 20:
            seen.update(buffer)
            buffer.clear()
            on_rows(number - told)
            told = number
    seen.update(buffer)
    on_rows(number - told)
    return Checksum(number, seen.hexdigest())


class Fit:
    """Rows as the target keeps them. `altered` counts the texts that it does not keep as they are."""

    def __init__(self, *, keeps_nul: bool) -> None:
        self._keeps_nul = keeps_nul
        self.altered = 0

    def rows(self, table: Table, rows: Iterable[Row]) -> Iterator[Row]:
        """`rows` of `table`, with a visible sign for each NUL that cannot be kept."""
        if self._keeps_nul or not table.texts:
            return iter(rows)
        return self._without_nul(table.text_places, rows)

    def _without_nul(self, places: tuple[int, ...], rows: Iterable[Row]) -> Iterator[Row]:
        for row in rows:
            for place in places:
                if row[place] and NUL in row[place]:
                    row = (*row[:place], row[place].replace(NUL, SIGN), *row[place + 1 :])
                    self.altered += 1
            yield row
