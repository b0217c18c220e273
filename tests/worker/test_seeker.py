"""How a parent finds the child that holds a cancelled task."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from qm.task import Lease
from qm.worker.member import Member
from qm.worker.output import Output
from qm.worker.page import Page
from qm.worker.seeker import Seeker
from qm.worker.watch import Watch

A, B, C, STRAY = (Lease(name, 1, 1) for name in ("a", "b", "c", "stray"))
NOW = 1000.0


class Child:
    """As much of a member as a seeker looks at."""

    def __init__(self) -> None:
        self.page = Page.create()
        self.output = Output.create()
        self.watch = Watch(1, self.page, self.output, 5.0)
        self.page.hold([A, B, C])
        self.page.start_running(1, NOW)

    def holds(self, lease: Lease) -> bool:
        return Member.holds(self, lease)  # type: ignore[arg-type]


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch) -> Iterator[Child]:
    monkeypatch.setattr(os, "kill", lambda pid, number: None)
    child = Child()
    yield child
    child.output.close()


def seek(seeker: Seeker, child: Any, *leases: Lease, now: float = NOW, anew: bool = True) -> None:
    seeker.seek(now, leases, [child], anew)


@pytest.mark.parametrize("lease", [B, C], ids=["it runs", "it was not started"])
def test_the_child_that_holds_it_gives_back_and_is_looked_at(child: Child, lease: Lease) -> None:
    freed: list[Any] = []
    seek(Seeker(freed.append), child, lease)
    assert freed == [child]
    assert child.watch.next == 0.0


@pytest.mark.parametrize("lease", [A, STRAY], ids=["it has ended", "nobody has it"])
def test_others_are_left_alone(child: Child, lease: Lease) -> None:
    freed: list[Any] = []
    seek(Seeker(freed.append), child, lease)
    assert freed == []
    assert child.watch.next is None


def test_a_task_that_was_told_to_stop_is_not_sought_again(child: Child) -> None:
    freed: list[Any] = []
    seeker = Seeker(freed.append)
    child.watch.look(NOW, {B})
    seek(seeker, child, B)
    assert freed == []


def test_it_is_looked_for_again_ever_more_seldom_until_the_lease_is_gone(child: Child) -> None:
    seeker = Seeker(lambda member: None)
    pauses, now = [], NOW
    seek(seeker, child, STRAY, now=now)
    for _ in range(10):
        assert seeker.next is not None and not seeker.is_due(now)
        pauses.append(round(seeker.next - now, 3))
        now = seeker.next
        assert seeker.is_due(now)
        seek(seeker, child, STRAY, now=now, anew=False)
    assert pauses[:4] == [0.1, 0.2, 0.4, 0.8] and pauses[-1] == 5.0
    seek(seeker, child, STRAY, now=now, anew=True)
    assert seeker.next == pytest.approx(now + 0.1)
    seek(seeker, child, now=now)
    assert seeker.next is None
