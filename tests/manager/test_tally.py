"""Counters of who came, and a log that strangers cannot fill."""

from __future__ import annotations

import pytest

from qm.manager.tally import Refusal, Tally
from qm.testing.clock import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def tally(clock: FakeClock) -> Tally:
    return Tally(clock)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_what_became_of_whom_is_counted(tally: Tally) -> None:
    for _ in range(3):
        tally.accept()
    tally.admit()
    tally.refuse(Refusal.KEY, "no")
    tally.refuse(Refusal.KEY, "no")
    assert (tally.accepted, tally.admitted) == (3, 1)
    assert tally.refused == dict.fromkeys(Refusal, 0) | {Refusal.KEY: 2}


def test_a_thousand_refusals_are_one_line(tally: Tally, caplog: pytest.LogCaptureFixture) -> None:
    """Row 29: guessing does not fill the disk with our log."""
    for number in range(1000):
        tally.refuse(Refusal.KEY, "%s was refused", number)
    assert lines(caplog) == ["0 was refused"]
    assert tally.refused[Refusal.KEY] == 1000


def test_the_next_line_says_how_many_there_were(
    tally: Tally, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    tally.refuse(Refusal.KEY, "%s was refused", "a")
    clock.advance(9)
    tally.refuse(Refusal.KEY, "%s was refused", "b")
    clock.advance(3)
    tally.refuse(Refusal.KEY, "%s was refused", "c")
    clock.advance(10)
    tally.refuse(Refusal.KEY, "%s was refused", "d")
    assert lines(caplog) == [
        "a was refused",
        "c was refused (and 1 others like it in the last 12 s)",
        "d was refused",
    ]


def test_one_reason_does_not_hide_another(tally: Tally, caplog: pytest.LogCaptureFixture) -> None:
    for reason in Refusal:
        tally.refuse(reason, "%s", reason)
        tally.refuse(reason, "%s", reason)
    assert lines(caplog) == list(Refusal)
