"""Patience: what is tried again, for how long, and with which pauses."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator

import pytest

from qm import errors
from qm.client import patience as module
from qm.client.patience import PASSING, Patience
from qm.errors import Draining, NotCommitted, QueueError, Unreachable
from tests.wire.peers import Clock

ERRORS = [
    value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, QueueError)
]


class Pauses:
    """In the place of an Event: its waits take no time but the clock's."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._set = False
        self.seconds: list[float] = []

    def wait(self, seconds: float) -> bool:
        self.seconds.append(seconds)
        self._clock.now += 0.0 if self._set else seconds
        return self._set

    def set(self) -> None:
        self._set = True


class Stage:
    """A patience whose time passes only in its pauses, and in calls that say so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
        self.clock = Clock()
        monkeypatch.setattr(module, "time", self.clock)
        self.patience = Patience(seconds)
        self.pauses = Pauses(self.clock)
        monkeypatch.setattr(self.patience, "_closed", self.pauses)
        self.tries = 0

    def once(self, *fails: QueueError, takes: float = 0.0) -> Callable[[], str]:
        """A call that fails so often before it succeeds, each try taking `takes` seconds."""
        errors: Iterator[QueueError] = iter(fails)

        def call() -> str:
            self.tries += 1
            self.clock.now += takes
            for error in errors:
                raise error
            return "the answer"

        return call

    def never(self, error: QueueError, takes: float = 0.0) -> Callable[[], str]:
        def call() -> str:
            self.tries += 1
            self.clock.now += takes
            raise error

        return call


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(monkeypatch, 5.0)


def test_an_answer_at_once_costs_no_pause(stage: Stage) -> None:
    assert stage.patience.call(stage.once()) == "the answer"
    assert stage.pauses.seconds == []


@pytest.mark.parametrize("kind", PASSING)
def test_what_a_later_try_can_mend_is_tried_again(stage: Stage, kind: type[QueueError]) -> None:
    assert stage.patience.call(stage.once(kind("x"), kind("y"))) == "the answer"
    assert stage.tries == 3


@pytest.mark.parametrize("kind", [kind for kind in ERRORS if not issubclass(kind, PASSING)])
def test_what_no_later_try_can_mend_is_raised_at_once(stage: Stage, kind: type[QueueError]) -> None:
    """Above all a call that timed out (it may hold up the manager), and a key that is refused."""
    error = kind("x")
    with pytest.raises(kind) as caught:
        stage.patience.call(stage.once(error))
    assert caught.value is error and stage.tries == 1


def test_an_interrupt_is_no_reason_to_try_again(stage: Stage) -> None:
    def call() -> str:
        stage.tries += 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stage.patience.call(call)
    assert stage.tries == 1


def test_a_manager_that_stays_away_is_an_error_after_the_patience(stage: Stage) -> None:
    begun = stage.clock.now
    last = Unreachable("nobody there")
    with pytest.raises(Unreachable) as caught:
        stage.patience.call(stage.never(last))
    assert caught.value is last
    assert 4.0 < stage.clock.now - begun <= 5.0
    assert stage.tries > 10


def test_each_try_is_part_of_the_patience(stage: Stage) -> None:
    """A host that does not even refuse takes seconds to notice."""
    begun = stage.clock.now
    with pytest.raises(Unreachable):
        stage.patience.call(stage.never(Unreachable("timed out"), takes=3.0))
    assert stage.clock.now - begun <= 3.0 + 5.0 + 3.0


def test_a_call_that_waited_long_has_the_whole_patience_when_its_manager_goes(stage: Stage) -> None:
    """A get or a take is often parked for longer than the patience when the manager is restarted."""
    call = stage.once(Unreachable("restarted"), takes=25.0)
    assert stage.patience.call(call) == "the answer"


def test_pauses_double_up_to_a_bound(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "uniform", lambda low, high: high)
    with pytest.raises(Unreachable):
        stage.patience.call(stage.never(Unreachable("x")))
    assert stage.pauses.seconds[:5] == pytest.approx([0.05, 0.1, 0.2, 0.4, 0.5])
    assert max(stage.pauses.seconds) == 0.5


def test_pauses_are_random_so_that_a_fleet_does_not_come_back_in_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses = set()
    for _ in range(20):
        stage = Stage(monkeypatch, 5.0)
        stage.patience.call(stage.once(Draining("x")))
        pauses.add(stage.pauses.seconds[0])
    assert len(pauses) == 20 and all(0 <= pause <= 0.05 for pause in pauses)


def test_without_patience_there_is_one_try(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, 0.0)
    with pytest.raises(NotCommitted):
        stage.patience.call(stage.never(NotCommitted("x")))
    assert stage.tries == 1 and stage.pauses.seconds == []


def test_a_pause_that_would_outlast_the_patience_is_not_begun(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is said when it is sure, not later."""
    monkeypatch.setattr(random, "uniform", lambda low, high: 100.0)
    begun = stage.clock.now
    with pytest.raises(Unreachable):
        stage.patience.call(stage.never(Unreachable("x")))
    assert stage.clock.now == begun and stage.tries == 1


def test_closing_ends_a_pause_with_the_error() -> None:
    patience = Patience(60.0)
    tried = threading.Event()

    def call() -> str:
        if tried.is_set():
            patience.close()
        tried.set()
        raise Unreachable("x")

    with pytest.raises(Unreachable):
        patience.call(call)


def test_after_closing_a_call_is_still_tried_once(stage: Stage) -> None:
    stage.patience.close()
    assert stage.patience.call(stage.once()) == "the answer"
    with pytest.raises(Unreachable):
        stage.patience.call(stage.never(Unreachable("x")))
    assert stage.tries == 2


def test_a_long_time_in_vain_is_told_once_in_a_while(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A pool waits for its manager as long as it takes: its log must say what for."""
    stage = Stage(monkeypatch, 3600.0)
    away = [Unreachable("no manager")] * 15
    assert stage.patience.call(stage.once(*away, takes=10.0)) == "the answer"
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 3
    assert all(text.endswith("and on: no manager") for text in told)


def test_a_short_one_is_not(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage(monkeypatch, 3600.0)
    assert stage.patience.call(stage.once(*[Unreachable("no manager")] * 9, takes=1.0)) == "the answer"
    assert caplog.records == []
