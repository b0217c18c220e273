"""One attempt: whatever user code does, there is a settlement, and the worker lives."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from qm.errors import NonRetryable
from qm.limits import MESSAGE_MAX, PAYLOAD_MAX, TRACEBACK_MAX
from qm.messages import Fail, Finish, Settlement, Taken
from qm.operations import Operations
from qm.payload import pack, unpack, unpack_failure
from qm.task import Failure, Lease, Task
from qm.worker.execute import execute

LEASE = Lease("t-1", 2, 77)


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
    ],
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


def test_endless_recursion_is_a_failure() -> None:
    def op(value: Any) -> Any:
        return op(value)

    limit = sys.getrecursionlimit()
    assert failure_of(run(op)).type == "RecursionError"
    assert sys.getrecursionlimit() == limit
