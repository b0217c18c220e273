"""Exit codes."""

from __future__ import annotations

import pytest

from qm import errors
from qm.cli.exits import CODES, Exit, code_of


def test_the_codes_are_those_of_the_documents() -> None:
    assert {exit_.name: exit_.value for exit_ in Exit} == {
        "OK": 0,
        "FAILED": 1,
        "USAGE": 2,
        "NOT_FOUND": 3,
        "NOT_AUTHORISED": 4,
        "TASK_FAILED": 5,
        "NOT_FINISHED": 6,
        "UNREACHABLE": 7,
        "STORE_CORRUPT": 65,
        "STORE_FAILED": 70,
        "INTERRUPTED": 130,
        "TERMINATED": 143,
    }


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.QueueError("x"), 1),
        (errors.BadRequest("x"), 2),
        (errors.TooLarge("x"), 2),
        (errors.NotFound("x"), 3),
        (errors.AuthFailed("x"), 4),
        (errors.NotAllowed("x"), 4),
        (errors.TaskFailed("x"), 5),
        (errors.TaskCancelled("x"), 5),
        (errors.TimedOut("x"), 6),
        (errors.Unreachable("x"), 7),
        (errors.Draining("x"), 7),
        (errors.StoreBusy("x"), 1),
        (errors.StoreForeign("x"), 65),
        (errors.StoreTooNew("x"), 65),
        (errors.StoreTooOld("x"), 1),
        (errors.StoreError("x"), 70),
        (errors.NotCommitted("x"), 70),
        (errors.LoadError("x"), 2),
        (errors.WrongState("x"), 1),
        (KeyboardInterrupt(), 130),
        (RuntimeError("a bug"), 1),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_each_error_has_its_code(error: BaseException, code: int) -> None:
    assert code_of(error) == code


def test_no_error_ends_well() -> None:
    assert Exit.OK not in CODES.values()
