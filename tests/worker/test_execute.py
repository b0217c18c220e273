"""One attempt: whatever user code does, there is a settlement, and the worker lives."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from typing import Any

import pytest

from qm.errors import NonRetryable
from qm.limits import MESSAGE_MAX, PAYLOAD_MAX, TRACEBACK_MAX
from qm.messages import Fail, Finish, Settlement, Taken
from qm.operations import Operations
from qm.payload import pack, refuse, unpack, unpack_failure, wrap
from qm.task import Failure, Lease, Task
from qm.worker.execute import execute, was_shut
from tests.poison import BrokenZone, nested

LEASE = Lease("t-1", 2, 77)


class ExitingZone(BrokenZone):
    """Ends the process where others raise."""

    def utcoffset(self, moment: datetime | None) -> timedelta:
        raise SystemExit(3)


class Speechless(BaseException):
    """Has no words, and its own error has none either."""

    def __str__(self) -> str:
        raise Speechless

    __repr__ = __str__


def run(function: Any, value: Any = None) -> Settlement:
    operations = Operations()
    operations.operation("op")(function)
    return execute(operations, Taken(LEASE, "op", pack(value), failures=1))


def failure_of(settlement: Settlement) -> Failure:
    assert isinstance(settlement, Fail)
    return unpack_failure(settlement.error)


def test_what_it_returns_is_the_result() -> None:
    settlement = run(lambda value: {"got": value}, [1, "zwei", None, 2.5, b"\x00", 2**80])
    assert isinstance(settlement, Finish)
    assert settlement.lease == LEASE
    assert unpack(settlement.output) == {"got": [1, "zwei", None, 2.5, b"\x00", 2**80]}


def test_an_object_sees_the_task_and_may_set_its_output() -> None:
    class Original:
        def call(self, task: Task) -> None:
            task.output = (task.id, task.type, task.input, task.attempt, task.failures)

    operations = Operations().register(Original(), "op")
    settlement = execute(operations, Taken(LEASE, "op", pack(5), failures=1))
    assert isinstance(settlement, Finish)
    assert unpack(settlement.output) == ["t-1", "op", 5, 2, 1]


def test_an_exception_is_a_retryable_failure_with_the_users_frames_only() -> None:
    def op(value: Any) -> None:
        raise KeyError(value)

    settlement = run(op, "missing")
    failure = failure_of(settlement)
    assert isinstance(settlement, Fail) and settlement.retryable
    assert (failure.type, failure.message) == ("KeyError", "'missing'")
    assert "raise KeyError(value)" in failure.traceback
    assert "qm/worker/" not in failure.traceback and "qm/operations/" not in failure.traceback


def test_non_retryable_ends_the_task() -> None:
    def op(value: Any) -> None:
        raise NonRetryable("never")

    settlement = run(op)
    assert isinstance(settlement, Fail) and not settlement.retryable


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_a_base_exception_ends_the_attempt_not_the_child(error: BaseException) -> None:
    def op(value: Any) -> None:
        raise error

    assert failure_of(run(op)).type == type(error).__name__


def test_an_exception_without_words_is_described_too() -> None:
    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    def op(value: Any) -> None:
        raise Broken

    failure = failure_of(run(op))
    assert failure.type.endswith("Broken")
    assert "cannot be shown" in failure.message


def test_long_texts_are_cut_where_they_matter_least() -> None:
    def op(value: Any) -> None:
        raise ValueError("head" + "x" * 10**6)

    failure = failure_of(run(op))
    assert len(failure.message) == MESSAGE_MAX and failure.message.startswith("head")
    assert len(failure.traceback) <= TRACEBACK_MAX


def test_a_lone_surrogate_in_an_error_does_no_harm() -> None:
    def op(value: Any) -> None:
        raise ValueError("\ud800")

    assert failure_of(run(op)).message == "\\ud800"


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (object(), "object"),
        ("\ud800", "surrogates"),
        ("x" * PAYLOAD_MAX, "limit"),
        (lambda: None, "function"),
        ((n for n in range(3)), "generator"),
        (b"x" * PAYLOAD_MAX, "limit"),
        (datetime(2020, 1, 1, tzinfo=BrokenZone()), "RuntimeError"),
        (datetime(2020, 1, 1, tzinfo=ExitingZone()), ""),
        (nested(10_000), "nested too deeply"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 20 else "",
)
def test_an_output_that_cannot_travel_fails_the_task_and_is_not_tried_again(output: Any, words: str) -> None:
    settlement = run(lambda value: output)
    assert isinstance(settlement, Fail) and not settlement.retryable
    assert words in failure_of(settlement).message


def test_a_wrong_shape_of_input_is_not_tried_again() -> None:
    def op(a: int, b: int) -> int:
        return a + b

    settlement = run(op, {"a": 1, "c": 2})
    assert isinstance(settlement, Fail) and not settlement.retryable


def test_an_input_that_cannot_be_read_is_not_tried_again() -> None:
    operations = Operations()
    operations.operation("op")(lambda value: value)
    settlement = execute(operations, Taken(LEASE, "op", b"\xc1"))
    assert isinstance(settlement, Fail) and not settlement.retryable


@pytest.mark.parametrize(
    ("input_", "words"),
    [(wrap(bytes(100)), "sealed, and no key here opens it"), (refuse("somebody moved it"), "moved it")],
    ids=["sealed", "refused"],
)
def test_a_task_that_cannot_be_opened_is_not_run_and_tried_again(input_: bytes, words: str) -> None:
    operations = Operations()
    ran: list[Any] = []
    operations.operation("op")(ran.append)
    taken = Taken(LEASE, "op", input_)
    settlement = execute(operations, taken)
    assert was_shut(taken) and not ran
    assert isinstance(settlement, Fail) and settlement.retryable
    failure = failure_of(settlement)
    assert words in failure.message and failure.type in ("Sealed", "BadPayload")
    assert "File" not in failure.traceback, "none of the user's frames"


def test_an_operation_s_own_bad_payload_is_not_tried_again() -> None:
    def op(value: Any) -> None:
        unpack(wrap(bytes(100)))

    settlement = run(op)
    assert isinstance(settlement, Fail) and not settlement.retryable
    assert not was_shut(Taken(LEASE, "op", pack(None)))


@pytest.mark.parametrize("group", [False, True])
def test_an_exception_that_cannot_be_shown_at_all_is_named(group: bool) -> None:
    def op(value: Any) -> None:
        raise BaseExceptionGroup("several", [Speechless()]) if group else Speechless

    assert failure_of(run(op)).type.endswith("BaseExceptionGroup" if group else "Speechless")


def test_exceptions_that_cause_one_another_in_a_ring_are_described() -> None:
    def op(value: Any) -> None:
        one, other = ValueError("one"), ValueError("other")
        one.__cause__, other.__cause__ = other, one
        raise one

    assert failure_of(run(op)).message == "one"


def test_endless_recursion_is_a_failure() -> None:
    def op(value: Any) -> Any:
        return op(value)

    limit = sys.getrecursionlimit()
    assert failure_of(run(op)).type == "RecursionError"
    assert sys.getrecursionlimit() == limit
