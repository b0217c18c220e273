"""A sorted collection that is cheap at every size: what the lines of tasks are kept in.

A list of sorted chunks, as `sortedcontainers.SortedList` has it: a step finds its chunk by bisection and
moves at most a chunk's worth of pointers. A heap would be as fast at its head, but can neither be walked in
order (which pages of a list need) nor give up an item from its middle (which a cancel needs).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from itertools import chain, islice
from typing import Final, TypeAlias

#: Where a task stands among others: two numbers that no two tasks of a line share, and its id.
Place: TypeAlias = tuple[float, float, str]

#: A chunk splits at twice this size: moving 2,000 pointers takes about as long as calling a function.
_HALF: Final = 1000


class Ordered:
    """Places in rising order, each at most once."""

    def __init__(self) -> None:
        self._chunks: list[list[Place]] = []
        self._lasts: list[Place] = []
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def first(self) -> Place:
        """The lowest place. Raises IndexError when there is none."""
        return self._chunks[0][0]

    def head(self, limit: int) -> list[Place]:
        """The lowest `limit` places."""
        return list(islice(chain.from_iterable(self._chunks), max(limit, 0)))

    def after(self, place: Place | None) -> Iterator[Place]:
        """The places above `place`, or all, in order; the collection must not change meanwhile."""
        if place is None:
            return chain.from_iterable(self._chunks)
        at = bisect_right(self._lasts, place)
        if at == len(self._lasts):
            return iter(())
        chunk = self._chunks[at]
        return chain(chunk[bisect_right(chunk, place) :], chain.from_iterable(self._chunks[at + 1 :]))

    def add(self, place: Place) -> None:
        """Puts `place` in; it must not be there yet."""
        self._size += 1
        if not self._chunks:
            self._chunks.append([place])
            self._lasts.append(place)
            return
        at = min(bisect_left(self._lasts, place), len(self._lasts) - 1)
        chunk = self._chunks[at]
        insort(chunk, place)
        self._lasts[at] = chunk[-1]
        if len(chunk) > 2 * _HALF:
            self._split(at)

    def remove(self, place: Place) -> None:
        """Takes `place` out. Raises KeyError when it is not there: then something else is wrong as well."""
        at = bisect_left(self._lasts, place)
        chunk = self._chunks[at] if at < len(self._chunks) else []
        inner = bisect_left(chunk, place)
        if inner == len(chunk) or chunk[inner] != place:
            raise KeyError(place)
        self._size -= 1
        del chunk[inner]
        if chunk:
            self._lasts[at] = chunk[-1]
        else:
            del self._chunks[at], self._lasts[at]

    def _split(self, at: int) -> None:
        chunk = self._chunks[at]
        self._chunks[at : at + 1] = [chunk[:_HALF], chunk[_HALF:]]
        self._lasts[at : at + 1] = [chunk[_HALF - 1], chunk[-1]]
