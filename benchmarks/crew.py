"""Producers in processes of their own, so that they do not share an interpreter with each other."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

#: Forked: sixteen fresh interpreters would cost more than what is measured. The harness has no threads.
_FORK: Final = multiprocessing.get_context("fork")


def rate(processes: int, lasting: float, prepare: Callable[[], Callable[[], int]]) -> float:
    """Tasks per second that `processes` producers reach together in `lasting` seconds.

    Each calls `prepare` for its step, makes one step to warm up, waits for the others, and then repeats the
    step, which gives how many tasks it added.
    """
    barrier = _FORK.Barrier(processes)
    answers: Any = _FORK.SimpleQueue()

    def produce() -> None:
        step = prepare()
        step()
        barrier.wait(60)
        start = time.monotonic()
        count = 0
        while time.monotonic() < start + lasting:
            count += step()
        answers.put((count, start, time.monotonic()))

    members = [_FORK.Process(target=produce, daemon=True) for _ in range(processes)]
    for member in members:
        member.start()
    for member in members:
        member.join()
    if any(member.exitcode for member in members):
        raise RuntimeError("a producer failed")
    found = [answers.get() for _ in members]
    took: float = max(end for _, _, end in found) - min(start for _, start, _ in found)
    return sum(int(count) for count, _, _ in found) / took


@contextmanager
def background(prepare: Callable[[], Callable[[], int]]) -> Iterator[None]:
    """One producer that repeats its step until the block ends."""

    def produce() -> None:
        step = prepare()
        while True:
            step()

    member = _FORK.Process(target=produce, daemon=True)
    member.start()
    try:
        yield
    finally:
        member.kill()
        member.join()
