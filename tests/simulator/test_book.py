"""What a producer has sent: nothing is forgotten, nobody waits for nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from qm.simulator import book as module
from qm.simulator.book import Book, Entry
from qm.simulator.load import Job
from qm.task import State, Task

JOB = Job("reverse", "ab", lambda output: None)
DONE = Task(id="a", type="reverse", input="ab", state=State.DONE)


def entries(book: Book, *ids: str) -> list[Entry]:
    noted = [Entry(id_, JOB, 1.0) for id_ in ids]
    for entry in noted:
        book.note(entry)
    return noted


def ids(found: Any) -> list[str]:
    return [entry.id for entry in found]


class Blocked:
    """A call in a thread of its own."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self.answer: Any = None
        self._thread = threading.Thread(target=self._run, args=(call,), daemon=True)
        self._thread.start()

    def _run(self, call: Callable[[], Any]) -> None:
        self.answer = call()

    def waits(self) -> bool:
        self._thread.join(0.05)
        return self._thread.is_alive()

    def result(self) -> Any:
        self._thread.join(10)
        assert not self._thread.is_alive()
        return self.answer


def test_the_oldest_is_claimed_first_and_each_once() -> None:
    book = Book()
    a, b, c = entries(book, "a", "b", "c")
    assert (book.claim(), book.claim()) == (a, b)
    book.unclaim(a)
    assert (book.claim(), book.claim()) == (a, c)


def test_a_claim_waits_for_the_next_task() -> None:
    book = Book()
    claim = Blocked(book.claim)
    assert claim.waits()
    entries(book, "a")
    assert claim.result().id == "a"


def test_a_claim_gets_what_another_gave_up() -> None:
    book = Book()
    (a,) = entries(book, "a")
    book.claim()
    book.complete()
    claim = Blocked(book.claim)
    assert claim.waits()
    book.unclaim(a)
    assert claim.result() is a


def test_all_claims_end_when_the_last_task_has_ended() -> None:
    book = Book()
    (a,) = entries(book, "a")
    book.claim()
    claims = [Blocked(book.claim) for _ in range(3)]
    book.complete()
    assert all(claim.waits() for claim in claims)
    book.close(a, DONE, 2.0)
    assert [claim.result() for claim in claims] == [None] * 3


def test_the_time_runs_from_the_call_of_add_to_the_first_word_of_the_end() -> None:
    book = Book()
    (a,) = entries(book, "a")
    book.close(a, DONE, 1.5)
    book.close(a, None, 9.0)
    assert (a.first, a.seconds, book.ended) == (DONE, 0.5, 1)


def test_a_task_that_is_gone_has_no_time() -> None:
    book = Book()
    (a,) = entries(book, "a")
    book.close(a, None, 1.5)
    assert (a.first, a.seconds, book.ended) == (None, None, 1)


def test_everything_is_judged_once_at_the_end() -> None:
    book = Book()
    noted = entries(book, "a", "b", "c")
    judge = Blocked(lambda: book.to_judge(2))
    for entry in noted:
        book.close(entry, DONE, 2.0)
    assert judge.waits()
    book.complete()
    assert ids(judge.result()) == ["a", "b"]
    assert ids(book.to_judge(2)) == ["c"]
    assert list(book.to_judge(2)) == []


def test_a_long_run_judges_the_oldest_before_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_KEPT", 2)
    book = Book()
    for entry in entries(book, "a", "b", "c"):
        book.close(entry, DONE, 2.0)
    assert ids(book.to_judge(1)) == ["a"]
    assert Blocked(lambda: book.to_judge(1)).waits()


def test_leaving_judges_what_has_not_ended_too() -> None:
    book = Book()
    a, _, _ = entries(book, "a", "b", "c")
    book.close(a, DONE, 2.0)
    claim = Blocked(lambda: [book.claim() for _ in range(3)])
    assert claim.waits()
    book.leave()
    book.complete()
    assert claim.result()[2] is None
    assert [ids(book.to_judge(9)) for _ in range(3)] == [["a"], ["b", "c"], []]


def test_an_add_that_outlasts_the_stop_is_not_forgotten() -> None:
    book = Book()
    book.leave()
    judge = Blocked(lambda: book.to_judge(9))
    assert judge.waits()
    entries(book, "late")
    book.complete()
    assert ids(judge.result()) == ["late"]


def test_there_is_room_until_too_much_is_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_UNJUDGED_MAX", 2)
    book = Book()
    assert book.wait_for_room()
    a, _ = entries(book, "a", "b")
    room = Blocked(book.wait_for_room)
    assert room.waits()
    book.close(a, DONE, 2.0)
    assert room.waits()
    book.judged(1)
    assert room.result() is True


@pytest.mark.parametrize("stop", [Book.stop, Book.leave])
def test_a_stop_ends_the_wait_for_room(stop: Callable[[Book], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_UNJUDGED_MAX", 1)
    book = Book()
    entries(book, "a")
    room = Blocked(book.wait_for_room)
    assert room.waits()
    stop(book)
    assert room.result() is False
    assert book.wait_for_room() is False


def test_the_oldest_are_given_claimed_or_not() -> None:
    book = Book()
    entries(book, "a", "b", "c")
    book.claim()
    assert ids(book.oldest(2)) == ["a", "b"]
