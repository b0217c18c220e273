"""Children that die at their start are not tried for ever."""

from __future__ import annotations

from qm.errors import LoadError, OperationError
from qm.worker.config import NO_GUARD_EXIT
from qm.worker.stillbirths import Stillbirths


def test_three_in_a_row_are_enough() -> None:
    births = Stillbirths()
    assert births.judge(1, None) is None
    assert births.judge(1, None) is None
    failure = births.judge(5, None)
    assert isinstance(failure, OperationError)
    assert "3 children in a row died before they could work (exit code 5)" in str(failure)


def test_one_that_can_work_ends_the_row() -> None:
    births = Stillbirths()
    for _ in range(3):
        assert births.judge(1, None) is None
        assert births.judge(1, None) is None
        births.end_row()


def test_what_another_try_cannot_mend_is_said_at_once() -> None:
    broken = Stillbirths().judge(1, "module 'x' does not import")
    assert isinstance(broken, LoadError)
    assert str(broken).startswith("module 'x' does not import")
    unguarded = Stillbirths().judge(NO_GUARD_EXIT, None)
    assert isinstance(unguarded, LoadError)
    assert "__main__" in str(unguarded)
