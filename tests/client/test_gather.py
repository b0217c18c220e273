"""Adds of several threads travel together, and nobody's task is lost, held up, or answered for another's."""

from __future__ import annotations

import os
import queue
import random
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any

import pytest

from qm.client import Client, gather, new_task
from qm.client.gather import Gatherer
from qm.errors import BadRequest, IdConflict, Unreachable
from qm.messages import Added, AddStatus, NewTask
from qm.testing import RunningManager
from tests.interrupts import interrupted_after
from tests.queue.bench import PATIENCE, Call

Answer = Callable[[Sequence[NewTask]], Added]


def created(tasks: Sequence[NewTask]) -> Added:
    return Added([AddStatus.CREATED] * len(tasks), [])


class Desk:
    """A manager's end. The first frame is held until `open`; all are noted."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.frames: list[list[str]] = []
        self.answer: Answer = created
        #: The first frame's own answer.
        self.first: Answer = created
        self._begun = threading.Event()
        self._open = threading.Event()
        self._sleepers: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.gatherer = Gatherer(self.say)
        prepare = gather._Part.prepare_sleep

        def prepare_and_note(part: gather._Part) -> None:
            prepare(part)
            self._sleepers.put(None)

        patch.setattr(gather._Part, "prepare_sleep", prepare_and_note)

    def say(self, tasks: Sequence[NewTask]) -> Added:
        self.frames.append([task.id for task in tasks])
        if len(self.frames) > 1:
            return self.answer(tasks)
        self._begun.set()
        assert self._open.wait(PATIENCE)
        return self.first(tasks)

    def add(self, id_: str, input_: Any = None) -> Call:
        """An add by a thread of its own; in line, or at the desk, when this returns."""
        held = self._begun.is_set() and not self._open.is_set()
        call = Call(self.gatherer.add, new_task("mail", input_, id=id_))
        if held:
            self.in_line()
        else:
            assert self._begun.wait(PATIENCE)
        return call

    def in_line(self) -> None:
        """Returns when one more is."""
        self._sleepers.get(timeout=PATIENCE)
        with self.gatherer._lock:  # it goes there with the lock held
            return

    def open(self) -> None:
        """The first frame is answered."""
        self._open.set()


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    desk = Desk(monkeypatch)
    yield desk
    desk.open()


def test_a_thread_alone_adds_at_once(desk: Desk) -> None:
    desk.open()
    for n in range(3):
        assert desk.gatherer.add(new_task("mail", id=f"t{n}")) is AddStatus.CREATED
    assert desk.frames == [["t0"], ["t1"], ["t2"]]


def test_those_who_come_while_a_frame_is_out_travel_together(desk: Desk) -> None:
    calls = [desk.add(id_) for id_ in "abcde"]
    desk.open()
    assert [call.answer() for call in calls] == [AddStatus.CREATED] * 5
    assert desk.frames == [["a"], ["b", "c", "d", "e"]]


def test_a_frame_is_bounded_by_count(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather, "ADD_CHUNK", 2)
    calls = [desk.add(id_) for id_ in "abcdef"]
    desk.open()
    assert [call.answer() for call in calls] == [AddStatus.CREATED] * 6
    assert desk.frames == [["a"], ["b", "c"], ["d", "e"], ["f"]]


def test_a_frame_is_bounded_by_bytes(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather, "ADD_BYTES", 100)
    calls = [desk.add(id_, bytes(size)) for id_, size in zip("abcde", (1, 40, 40, 40, 500), strict=True)]
    desk.open()
    assert [call.answer() for call in calls] == [AddStatus.CREATED] * 5
    assert desk.frames == [["a"], ["b", "c"], ["d"], ["e"]]


def test_each_gets_its_own_status(desk: Desk) -> None:
    statuses = {"b": AddStatus.DUPLICATE, "c": AddStatus.CONFLICT, "d": AddStatus.CREATED}
    desk.answer = lambda tasks: Added([statuses[task.id] for task in tasks], [])
    calls = [desk.add(id_) for id_ in "abcd"]
    desk.open()
    assert [call.answer() for call in calls[1:]] == list(statuses.values())


def test_a_bad_task_fails_alone(desk: Desk) -> None:
    def answer(tasks: Sequence[NewTask]) -> Added:
        if "bad" in [task.id for task in tasks]:
            raise BadRequest("the task bad is bad", hint="mend it")
        return created(tasks)

    desk.answer = answer
    first, *others = [desk.add(id_) for id_ in ("a", "b", "bad", "c")]
    desk.open()
    assert first.answer() is others[0].answer() is others[2].answer() is AddStatus.CREATED
    with pytest.raises(BadRequest, match="bad is bad") as caught:
        others[1].answer()
    assert caught.value.hint == "mend it"
    assert desk.frames[:2] == [["a"], ["b", "bad", "c"]]
    assert sorted(desk.frames[2:]) == [["b"], ["bad"], ["c"]]


def test_a_manager_that_is_away_is_told_to_all_of_a_frame(desk: Desk) -> None:
    def answer(tasks: Sequence[NewTask]) -> Added:
        raise Unreachable("nobody there", hint="start one")

    desk.answer = answer
    first, *others = [desk.add(id_) for id_ in "abcd"]
    desk.open()
    assert first.answer() is AddStatus.CREATED
    errors = []
    for call in others:
        with pytest.raises(Unreachable, match="nobody there") as caught:
            call.answer()
        assert caught.value.hint == "start one"
        errors.append(caught.value)
    assert len({id(error) for error in errors}) == 3, "one error in three threads has three tracebacks in it"
    assert desk.frames == [["a"], ["b", "c", "d"]]


def test_the_failure_of_a_frame_is_not_that_of_those_who_wait_for_the_next(desk: Desk) -> None:
    def first(tasks: Sequence[NewTask]) -> Added:
        raise Unreachable("nobody there")

    desk.first = first
    alone, *others = [desk.add(id_) for id_ in "abc"]
    desk.open()
    with pytest.raises(Unreachable):
        alone.answer()
    assert [call.answer() for call in others] == [AddStatus.CREATED] * 2


def test_who_loses_its_leader_goes_in_a_later_frame(desk: Desk) -> None:
    """The leader is interrupted while its frame is out: nobody knows what became of it, it is said again."""
    interrupted = iter([KeyboardInterrupt])

    def answer(tasks: Sequence[NewTask]) -> Added:
        for interrupt in interrupted:
            raise interrupt
        return created(tasks)

    desk.answer = answer
    first, leader, *others = [desk.add(id_) for id_ in "abcd"]
    desk.open()
    with pytest.raises(KeyboardInterrupt):
        leader.answer()
    assert [call.answer() for call in (first, *others)] == [AddStatus.CREATED] * 3
    assert desk.frames == [["a"], ["b", "c", "d"], ["c", "d"]]


def test_one_interrupted_in_line_is_not_asked_to_lead(desk: Desk) -> None:
    desk.add("a")
    with pytest.raises(KeyboardInterrupt), interrupted_after(desk.in_line):
        desk.gatherer.add(new_task("mail", id="interrupted"))
    last = desk.add("b")
    desk.open()
    assert last.answer() is AddStatus.CREATED
    assert desk.frames == [["a"], ["b"]]


def test_an_add_in_the_middle_of_an_add_of_the_same_thread_goes_alone(desk: Desk) -> None:
    """As a signal handler's: in line it would wait for the thread that it interrupts."""
    inner: list[AddStatus] = []

    def first(tasks: Sequence[NewTask]) -> Added:
        inner.append(desk.gatherer.add(new_task("mail", id="inner")))
        return created(tasks)

    desk.first = first
    outer = desk.add("outer")
    desk.open()
    assert outer.answer() is AddStatus.CREATED
    assert inner == [AddStatus.CREATED]
    assert desk.frames == [["outer"], ["inner"]]


def test_a_forked_child_does_not_wait_for_its_parents_frame(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    parents = desk.add("parents")
    pid = os.getpid()
    with desk.gatherer._lock, monkeypatch.context() as child:  # both held by threads that the child has not
        child.setattr(os, "getpid", lambda: pid + 1)
        assert desk.gatherer.add(new_task("mail", id="childs")) is AddStatus.CREATED
    desk.open()
    assert parents.answer() is AddStatus.CREATED


def test_conflicts_and_duplicates_of_one_frame_are_each_its_own(client: Client) -> None:
    client.add("mail", 1, id="one")
    go = threading.Barrier(8)

    def add(n: int) -> str:
        go.wait(PATIENCE)
        return client.add("mail", n % 2, id="one")

    calls = [Call(add, n) for n in range(8)]
    for n, call in enumerate(calls):
        if n % 2:
            assert call.answer() == "one"
        else:
            with pytest.raises(IdConflict, match="'one'"):
                call.answer()
    assert client.status().wait == 1


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_interrupts_at_random_points_hold_up_nobody(manager: RunningManager, client: Client) -> None:
    """KeyboardInterrupt in one thread's adds, while others add: all of the others' come back, each once."""
    armed, done, interrupts, main = False, threading.Event(), 0, threading.get_ident()
    added: list[str] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal armed
        if armed:
            armed = False
            raise KeyboardInterrupt

    def disturb() -> None:
        while not done.wait(random.uniform(0, 0.001)):
            signal.pthread_kill(main, signal.SIGUSR1)

    def work(name: str) -> int:
        number = 0
        while not done.is_set():
            number += 1
            assert client.add("mail", id=f"{name}-{number}") == f"{name}-{number}"
        return number

    before = signal.signal(signal.SIGUSR1, interrupt)
    others = [Call(work, name) for name in "abc"]
    disturber = threading.Thread(target=disturb)
    disturber.start()
    try:
        for number in range(3000):
            try:
                armed = True
                id_ = client.add("mail", id=f"main-{number}")
                armed = False
                added.append(id_)
            except KeyboardInterrupt:
                interrupts += 1
            if interrupts >= 200:
                break
    finally:
        armed = False
        done.set()
        disturber.join()
        signal.signal(signal.SIGUSR1, before)
    counts = [other.answer() for other in others]
    assert interrupts >= 50, "else this test shows nothing"
    status = client.status()
    assert sum(counts) + len(added) <= status.wait <= sum(counts) + len(added) + interrupts
