"""One look for all viewers, and never a long wait."""

from __future__ import annotations

import _thread
import contextlib
import threading
from collections.abc import Callable
from typing import Any, cast

import pytest

from qm.errors import NotFound, TimedOut, Unreachable
from qm.messages import ListQuery, Page, Status
from qm.testing import FakeClock
from qm.web.looks import LOOKS_MAX, Looks
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
    def refuse(*args: Any) -> int:
        raise RuntimeError("no thread")

    reader = reader_of(Scripted(lambda: "status"), FakeClock())
    with monkeypatch.context() as broken:
        broken.setattr(_thread, "start_new_thread", refuse)
        with pytest.raises(RuntimeError, match="no thread"):
            reader.read()
    assert reader.read().status.version == "status"


def test_a_thread_that_dies_before_it_has_begun_does_not_block_its_question_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = FakeClock()
    reader = reader_of(Scripted(lambda: "status"), clock)
    with monkeypatch.context() as broken:
        broken.setattr("qm.web.looks.LOOK_TIMEOUT", 0.0)
        broken.setattr(_thread, "start_new_thread", lambda *args: 0)
        with pytest.raises(TimedOut):
            reader.read()
    with pytest.raises(TimedOut):
        reader.read()
    clock.advance(61)
    assert reader.read().status.version == "status"


def test_a_look_may_serve_those_who_come_a_moment_later() -> None:
    clock = FakeClock()
    scripted = Scripted(lambda: "status")
    reader = reader_of(scripted, clock)
    reader.read(max_age=0.5)
    clock.advance(0.4)
    reader.read(max_age=0.5)
    assert scripted.looks == 1
    reader.read()
    clock.advance(0.6)
    reader.read(max_age=0.5)
    assert scripted.looks == 3


def test_the_rate_comes_with_the_second_look() -> None:
    clock = FakeClock()
    scripted = Scripted(lambda: "status")
    reader = reader_of(scripted, clock)
    assert reader.read().rate is None
    clock.advance(2)
    scripted.ended = 30
    assert reader.read().rate == pytest.approx(15.0)
    clock.advance(2)
    scripted.ended, scripted.started = 5, 99.0
    assert reader.read().rate is None, "another run of the manager"


def test_different_questions_to_a_frozen_manager_are_bounded() -> None:
    clock = FakeClock()
    looks = Looks(clock)
    thawed = threading.Event()
    asked = threading.Semaphore(0)

    def ask() -> None:
        asked.release()
        assert thawed.wait(30)

    def view(question: int) -> None:
        with contextlib.suppress(TimedOut):
            looks.share(question, ask)

    threads = [threading.Thread(target=view, args=(number,)) for number in range(LOOKS_MAX)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert asked.acquire(timeout=10)
    with pytest.raises(TimedOut, match="does not answer"):
        looks.share("one more", ask)
    thawed.set()
    for thread in threads:
        thread.join(10)
    assert looks.share("one more", lambda: "answered") == "answered"


def test_pages_and_tasks_come_from_the_manager(manager: Manager) -> None:
    reader = Reader(manager.remote)
    id_ = manager.finish("1 + 1", 2)
    assert [task.id for task in reader.list(ListQuery()).tasks] == [id_]
    story = reader.task(id_)
    assert (story.task.id, [attempt.attempt for attempt in story.attempts]) == (id_, [1])
    with pytest.raises(NotFound, match="there is no task nobody"):
        reader.task("nobody")
