"""The bench that the queue's tests work at."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.queue.bench import Bench, Sleepers


@pytest.fixture
def bench() -> Iterator[Bench]:
    """A fresh queue. At the end nothing that a call left behind may still be there."""
    bench = Bench()
    yield bench
    assert len(bench.core.takers) == 0, "a taker is parked for ever"
    assert len(bench.core.endings) == 0, "a watch was left behind"


@pytest.fixture
def sleepers(monkeypatch: pytest.MonkeyPatch) -> Sleepers:
    """Knows when calls fall asleep."""
    return Sleepers(monkeypatch)
