"""The next item is made while the last call is under way."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator

import pytest

from qm.client.ahead import Ahead, R, T


def one_ahead(call: Callable[[T], R], items: Iterable[T]) -> Iterator[tuple[T, R]]:
    with Ahead(call) as ahead:
        yield from ahead.answers(items)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 50])
def test_each_item_comes_with_its_answer_in_order(count: int) -> None:
    assert list(one_ahead(lambda n: n * n, range(1, count + 1))) == [(n, n * n) for n in range(1, count + 1)]


def test_a_single_item_costs_no_thread() -> None:
    (answer,) = one_ahead(lambda _: threading.current_thread(), ["only"])
    assert answer[1] is threading.main_thread()


def test_the_next_item_is_made_while_the_last_call_waits() -> None:
    made = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        yield 2
        made.set()
        yield 3

    def call(item: int) -> bool:
        return made.wait(10)

    assert [answer for _, answer in one_ahead(call, items())] == [True] * 3


def test_no_more_than_one_call_and_one_item_are_held() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for n in range(1, 100):
            made.append(n)
            yield n

    for item, _ in one_ahead(lambda n: n, items()):
        assert len(made) <= item + 3


def test_an_error_of_a_call_is_raised_where_it_belongs() -> None:
    def call(item: int) -> int:
        if item == 3:
            raise ValueError(item)
        return item

    seen = []
    with pytest.raises(ValueError, match="3"):
        for item, _ in one_ahead(call, range(1, 10)):
            seen.append(item)
    assert seen == [1, 2]


def test_an_error_of_the_items_is_raised_after_what_came_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise KeyError("no more")

    called: list[int] = []
    with pytest.raises(KeyError):
        list(one_ahead(called.append, items()))
    assert called[0] == 1


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_waits_for_the_call_under_way_and_an_interrupt_does_not(error: type[BaseException]) -> None:
    go, ended = threading.Event(), threading.Event()

    def call(item: int) -> int:
        if item == 2:
            go.wait(10)
            ended.set()
        return item

    if error is ValueError:
        threading.Timer(0.05, go.set).start()
    with pytest.raises(error), Ahead(call) as ahead:
        for _ in ahead.answers([1, 2, 3]):
            raise error
    assert ended.is_set() == (error is ValueError)
    go.set()


@pytest.mark.parametrize("started", [0, 1])
def test_a_thread_that_cannot_be_started_is_an_error(started: int, monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start
    threads: list[threading.Thread] = []

    def limited(thread: threading.Thread) -> None:
        if len(threads) == started:
            raise RuntimeError("can't start new thread")
        threads.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    with pytest.raises(RuntimeError, match="can't start"):
        list(one_ahead(lambda n: n, [1, 2, 3]))


def test_nobody_is_kept_from_leaving_by_a_call_that_is_not_answered() -> None:
    """As after Ctrl-C beside a manager that stands still."""
    program = """
import threading
from qm.client.ahead import Ahead
with Ahead(lambda item: item == 2 and threading.Event().wait(100)) as ahead:
    for _ in ahead.answers([1, 2, 3]):
        raise KeyboardInterrupt
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60)
    assert b"KeyboardInterrupt" in ran.stderr
