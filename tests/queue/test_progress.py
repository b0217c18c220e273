"""progress: how far a running task is."""

from __future__ import annotations

import math

import pytest

from qm.errors import BadRequest, TooLarge
from qm.limits import IDS_MAX
from qm.messages import NOTE_MAX, Finish, Progress, Verdict
from qm.testing.contract.samples import STRAY
from tests.queue.bench import Bench


def test_the_last_word_is_shown(bench: Bench) -> None:
    (lease,) = bench.leases("a")
    assert bench.queue.progress([Progress(lease, 0.25, "page 1"), Progress(lease, 0.5)]) == ["accepted"] * 2
    assert (bench.task("a").progress, bench.task("a").note) == (0.5, None)
    bench.queue.progress([Progress(lease, 1, "x" * NOTE_MAX)])
    assert (bench.task("a").progress, bench.task("a").note) == (1, "x" * NOTE_MAX)


def test_without_the_lease_nobody_listens(bench: Bench) -> None:
    a, b = bench.leases("a", "b")
    bench.queue.finish([Finish(b, b"")])
    said = [Progress(STRAY, 0.1), Progress(a, 0.2), Progress(b, 0.3)]
    assert bench.queue.progress(said) == [Verdict.LOST, Verdict.ACCEPTED, Verdict.LOST]
    assert (bench.task("a").progress, bench.task("b").progress) == (0.2, None)


@pytest.mark.parametrize("fraction", [-0.01, 1.01, math.nan, math.inf])
def test_a_fraction_is_between_0_and_1(bench: Bench, fraction: float) -> None:
    (lease,) = bench.leases("a")
    with pytest.raises(BadRequest, match="not between 0 and 1"):
        bench.queue.progress([Progress(lease, 0.5), Progress(lease, fraction)])
    assert bench.task("a").progress is None


def test_a_note_is_short_and_a_call_is_bounded(bench: Bench) -> None:
    (lease,) = bench.leases("a")
    with pytest.raises(BadRequest, match="at most 200"):
        bench.queue.progress([Progress(lease, 0.5, "x" * (NOTE_MAX + 1))])
    with pytest.raises(TooLarge, match="limit is 1000"):
        bench.queue.progress([Progress(lease, 0.5)] * (IDS_MAX + 1))
