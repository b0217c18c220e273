"""One look for all viewers, and never a long wait."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Any, cast

import pytest

from qm.errors import TimedOut, Unreachable
from qm.messages import Page, Status
from qm.testing import FakeClock
from qm.web.reader import LOOK_TIMEOUT, Reader
from qm.wire.remote import Remote
from tests.web.calling import Manager


class Scripted:
    """Stands in for a `Remote` whose manager answers when the test says so."""

    def __init__(self, answer: Callable[[], str]) -> None:
        self.answer = answer
        self.looks = 0
        self.ended = 0
        self.started = 0.0

    def status(self) -> Status:
        """A status that names what `answer` gives as its version."""
        return Status(
            wait=0,
            progress=0,
            done=0,
            states={},
            types={},
            workers=[],
            unserved=[],
            now=0.0,
            started=self.started,
            version=self.answer(),
            store="memory",
            ended=self.ended,
        )

    def queue(self) -> Scripted:
        return self

    def done(self) -> Any:
        scripted = self

        class Done:
            def list(self, limit: int) -> Page:
                scripted.looks += 1
                return Page([])

        return Done()


def reader_of(scripted: Scripted, clock: FakeClock) -> Reader:
    return Reader(cast(Remote, scripted), patience=0.0, clock=clock)


class Frozen:
    """A manager that does not answer until it is let."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.thawed = threading.Event()
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        self.asked.set()
        assert self.thawed.wait(30)
        return "status"


def in_threads(number: int, work: Callable[[], Any]) -> tuple[list[threading.Thread], list[Any]]:
    answers: list[Any] = []
    threads = [threading.Thread(target=lambda: answers.append(work())) for _ in range(number)]
    for thread in threads:
        thread.start()
    return threads, answers


def test_viewers_at_the_same_time_share_one_look() -> None:
    frozen = Frozen()
    scripted = Scripted(frozen)
    reader = reader_of(scripted, FakeClock())
    first, answers = in_threads(1, reader.read)
    assert frozen.asked.wait(10)
    others, more = in_threads(20, reader.read)
    frozen.thawed.set()
    for thread in first + others:
        thread.join(10)
    # a viewer that came after the answer looked anew, but never two at once
    assert len(answers) == 1 and len(more) == 20
    assert answers[0].status.version == "status"
    assert frozen.calls <= 21


def test_a_frozen_manager_holds_nobody_and_is_asked_once() -> None:
    frozen = Frozen()
    clock = FakeClock()
    reader = reader_of(Scripted(frozen), clock)

    def view() -> None:
        with contextlib.suppress(TimedOut):  # whether it still waits when the time is over
            reader.read()

    waiting, _ = in_threads(1, view)
    assert frozen.asked.wait(10)
    clock.advance(LOOK_TIMEOUT)
    for _ in range(50):
        with pytest.raises(TimedOut, match="does not answer"):
            reader.read()
    assert frozen.calls == 1
    frozen.thawed.set()
    waiting[0].join(10)


def test_after_a_frozen_manager_thawed_the_page_is_fresh() -> None:
    frozen = Frozen()
    clock = FakeClock()
    scripted = Scripted(frozen)
    reader = reader_of(scripted, clock)
    waiting, _ = in_threads(1, reader.read)
    assert frozen.asked.wait(10)
    frozen.thawed.set()
    waiting[0].join(10)
    scripted.answer = lambda: "newer"
    assert reader.read().status.version == "newer"


def test_each_viewer_after_the_other_sees_the_newest(manager: Manager) -> None:
    reader = Reader(manager.remote)
    for number in range(5):
        assert reader.read().status.wait == number
        manager.client.add("work", number)


def test_errors_reach_everyone_who_waits() -> None:
    def gone() -> Any:
        raise Unreachable("nobody there", hint="start one")

    reader = reader_of(Scripted(gone), FakeClock())
    for _ in range(3):
        with pytest.raises(Unreachable, match="nobody there"):
            reader.read()


def test_a_thread_that_cannot_be_started_does_not_block_later_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("no thread")

    reader = reader_of(Scripted(lambda: "status"), FakeClock())
    with monkeypatch.context() as broken:
        broken.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="no thread"):
            reader.read()
    assert reader.read().status.version == "status"
