"""How long things are kept: numbers that docs and users rely on."""

from __future__ import annotations

from qm.policy import retention


def test_a_failed_task_waits_longer_for_a_person_than_a_result() -> None:
    assert (retention.KEEP_ENDED, retention.KEEP_FAILED) == (86400.0, 30 * 86400.0)


def test_an_id_stays_known_for_a_day_after_its_task() -> None:
    assert retention.KEEP_ID == 86400.0


def test_an_attempt_may_take_half_an_hour() -> None:
    assert retention.TIMEOUT == 1800.0
