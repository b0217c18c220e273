"""Reports are said until they are accepted, or until somebody has to mend what refuses them."""

from __future__ import annotations

import threading

import pytest

from qm.errors import AuthFailed, BadRequest, NotAllowed, QueueError, SessionLost
from qm.worker import pauses
from qm.worker.courier import Courier

#: Seconds that nothing here takes unless it hangs.
PATIENCE = 10.0


class Reports:
    """Reports that are refused with each of `errors`, and then accepted."""

    def __init__(self, *errors: QueueError) -> None:
        self._errors = list(errors)
        self.tries = 0
        self.tried = threading.Event()
        self.accepted = threading.Event()

    def say(self) -> None:
        self.tries += 1
        self.tried.set()
        if self._errors:
            raise self._errors.pop(0)
        self.accepted.set()


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """What may pass by itself is tried again at once."""
    monkeypatch.setattr(pauses, "SHORT", 0.0)


@pytest.fixture
def courier() -> Courier:
    courier = Courier()
    courier.start()
    return courier


def test_a_report_is_said_until_it_is_accepted(courier: Courier) -> None:
    reports = Reports(*[SessionLost("not yet")] * 3)
    courier.send(reports.say)
    assert reports.accepted.wait(PATIENCE)
    assert reports.tries == 4
    courier.finish(PATIENCE)
    assert not courier.is_alive()


def test_who_must_finish_is_not_held_up_by_a_key_that_was_taken_away(courier: Courier) -> None:
    reports = Reports(*[AuthFailed("refused the authkey")] * 100)
    courier.send(reports.say)
    assert reports.tried.wait(PATIENCE)
    courier.finish(PATIENCE)
    assert not courier.is_alive()
    assert reports.tries <= 2, "once before, and once more at the end"
    assert not reports.accepted.is_set()


def test_a_report_that_is_wrong_is_said_once_and_those_behind_it_are_heard(courier: Courier) -> None:
    wrong, right = Reports(*[BadRequest("no such thing")] * 100), Reports()
    courier.send(wrong.say)
    courier.send(right.say)
    assert right.accepted.wait(PATIENCE)
    assert wrong.tries == 1
    courier.finish(PATIENCE)


def test_a_report_for_which_the_key_has_the_wrong_role_is_said_until_it_is_accepted(
    courier: Courier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pauses, "LONG", 0.0)
    reports = Reports(*[NotAllowed("not for this role")] * 2)
    courier.send(reports.say)
    assert reports.accepted.wait(PATIENCE)
    assert reports.tries == 3


def test_what_has_to_be_mended_is_tried_seldom() -> None:
    assert pauses.after(AuthFailed("refused the authkey")) == pauses.LONG
    assert pauses.after(SessionLost("attach again")) == pauses.SHORT
