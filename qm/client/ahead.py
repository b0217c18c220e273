"""Doing the next thing while the last one is under way."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from types import TracebackType
from typing import Generic, Self, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Ahead(Generic[T, R]):
    """Calls for one item after another: while a call waits for its answer, the next item is made.

    At its end, by an error too, no call is under way. But Ctrl-C does not wait for one: it may be long in
    coming where nobody answers, and ends by itself.
    """

    def __init__(self, call: Callable[[T], R]) -> None:
        self._call = call
        self._under_way: Future[R] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._under_way is not None and (kind is None or issubclass(kind, Exception)):
            wait([self._under_way])

    def answers(self, items: Iterable[T]) -> Iterator[tuple[T, R]]:
        """Each item with its answer, in order. One call and one or two items are held at a time, whatever the
        length of `items`. One alone costs no thread. Raises what a call raises."""
        rest = iter(items)
        last = next(rest, None)
        if last is None:
            return
        following = next(rest, None)
        if following is None:
            yield last, self._call(last)
            return
        answer = self._start(last)
        while following is not None:
            current, following = following, next(rest, None)
            result = answer.result()
            answer = self._start(current)
            yield last, result
            last = current
        yield last, answer.result()

    def _start(self, item: T) -> Future[R]:
        """The call in a thread of its own, that a program's end does not wait for."""
        future = Future[R]()
        threading.Thread(target=self._finish, args=(future, item), name="qm-ahead", daemon=True).start()
        self._under_way = future
        return future

    def _finish(self, future: Future[R], item: T) -> None:
        try:
            future.set_result(self._call(item))
        except BaseException as error:
            future.set_exception(error)
