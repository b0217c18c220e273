"""The signal that becomes an exception in the task that runs, and nowhere else."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator

import pytest

from qm.errors import Cancelled, Interrupted, TimeLimitExceeded
from qm.messages import Fail, Finish, Taken
from qm.operations import Operations
from qm.payload import pack, unpack_failure
from qm.task import Lease, Outcome
from qm.worker.execute import execute
from qm.worker.interrupt import RAISE, Interrupts
from qm.worker.page import Page

LEASE = Lease("a", 1, 1)


@pytest.fixture
def page() -> Page:
    page = Page.create()
    page.hold([LEASE], [2.5])
    page.start_running(0)
    return page


@pytest.fixture
def interrupts(page: Page) -> Iterator[Interrupts]:
    before = signal.getsignal(RAISE)
    interrupts = Interrupts(page)
    interrupts.listen()
    yield interrupts
    signal.signal(RAISE, before)


def order(page: Page, why: Outcome) -> None:
    task = page.running()
    assert task is not None
    page.order(task, why)


def interrupt() -> None:
    os.kill(os.getpid(), RAISE)


def run(work: Callable[[object], object]) -> Finish | Fail:
    operations = Operations()
    operations.operation("work")(work)
    outcome = execute(operations, Taken(LEASE, "work", pack(None)))
    assert isinstance(outcome, (Finish, Fail))
    return outcome


@pytest.mark.parametrize(
    ("why", "kind", "text"),
    [
        (Outcome.TIMEOUT, "TimeLimitExceeded", "over its limit of 2.5 s"),
        (Outcome.CANCELLED, "Cancelled", "somebody cancelled the task"),
    ],
)
def test_user_code_gets_the_exception_where_it_is(
    page: Page, interrupts: Interrupts, why: Outcome, kind: str, text: str
) -> None:
    order(page, why)

    def work(value: object) -> None:
        interrupt()

    outcome = run(work)
    assert isinstance(outcome, Fail)
    failure = unpack_failure(outcome.error)
    assert (failure.type, failure.message) == (kind, text)
    assert "in work\n" in failure.traceback
    assert "qm/worker" not in failure.traceback, "people look for their own frames"
    assert interrupts.told is why


def test_it_is_raised_again_in_code_that_swallows_it(page: Page, interrupts: Interrupts) -> None:
    order(page, Outcome.TIMEOUT)

    def work(value: object) -> int:
        seen = 0
        for _ in range(3):
            try:
                interrupt()
            except TimeLimitExceeded:
                seen += 1
        return seen

    assert run(work) == Finish(LEASE, pack(3))


def test_except_exception_does_not_catch_it(page: Page, interrupts: Interrupts) -> None:
    order(page, Outcome.CANCELLED)

    def work(value: object) -> str:
        try:
            interrupt()
        except Exception:
            return "caught"
        return "not raised"

    assert isinstance(run(work), Fail)
    assert issubclass(Cancelled, Interrupted) and not issubclass(Interrupted, Exception)


def test_without_an_order_for_this_task_nothing_is_raised(page: Page, interrupts: Interrupts) -> None:
    order(page, Outcome.TIMEOUT)
    page.hold([LEASE])
    page.start_running(0)

    def work(value: object) -> str:
        interrupt()
        return "undisturbed"

    assert run(work) == Finish(LEASE, pack("undisturbed"))
    assert interrupts.told is None


def test_our_own_code_is_never_interrupted(page: Page, interrupts: Interrupts) -> None:
    """A late signal: the operation has returned, and the exception's text is being made."""
    order(page, Outcome.TIMEOUT)
    interrupt()

    class Late(Exception):
        def __str__(self) -> str:
            interrupt()
            return "late"

    def work(value: object) -> None:
        raise Late

    outcome = run(work)
    assert isinstance(outcome, Fail)
    assert unpack_failure(outcome.error).message == "late"
    assert interrupts.told is None
