"""Doing the next thing while the last one is under way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def one_ahead(call: Callable[[T], R], items: Iterable[T]) -> Iterator[tuple[T, R]]:
    """Each item with its answer, in order. While one call waits for its answer, the next item is made: one
    call and one or two items are held at a time, whatever the length of `items`. One alone costs no thread.

    Raises what a call raises, once the call after it has been answered or was never made.
    """
    rest = iter(items)
    first = next(rest, None)
    if first is None:
        return
    second = next(rest, None)
    if second is None:
        yield first, call(first)
        return
    with ThreadPoolExecutor(1, thread_name_prefix="qm-ahead") as caller:
        under_way = first, caller.submit(call, first)
        following: T | None = second
        while following is not None:
            item, answer = under_way
            current = following
            following = next(rest, None)
            result = answer.result()
            under_way = current, caller.submit(call, current)
            yield item, result
        yield under_way[0], under_way[1].result()
