"""A producer in this process, against a manager in threads: what it sends, sees and concludes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import Pipe
from multiprocessing.connection import Connection

import pytest

from qm.client import Client
from qm.simulator import book
from qm.simulator import producer as module
from qm.simulator.audit import Audit, End, Record
from qm.simulator.load import Load
from qm.simulator.pipe import Broken, Count, Finished, Judged, Order, Word, hear_word, say
from qm.simulator.plan import Plan
from qm.simulator.producer import Producer, ProducerConfig
from qm.task import State, Task
from qm.testing import RunningManager, running_manager
from qm.wire.address import Address
from tests.simulator.workers import right, working

PLAN = Plan(producers=2, count=41, delay=0, seed=7, encoder_cost=4)


@pytest.fixture
def manager() -> Iterator[RunningManager]:
    with running_manager() as manager:
        yield manager


class Told:
    """A producer that runs, and all it has said so far."""

    def __init__(self, pipe: Connection) -> None:
        self.pipe = pipe
        self.words: list[Word] = []

    def next(self) -> Word:
        assert self.pipe.poll(30), "it says nothing"
        self.words.append(hear_word(self.pipe))
        return self.words[-1]

    def last(self) -> Word:
        """Hears it out."""
        while not isinstance(word := self.next(), (Finished, Broken)):
            pass
        return word

    def records(self) -> list[Record]:
        return [record for word in self.words if isinstance(word, Judged) for record in word.records]

    def sent(self) -> int:
        while not isinstance(word := self.next(), Count):
            pass
        return word.sent


@contextmanager
def producing(
    manager: RunningManager,
    plan: Plan = PLAN,
    number: int = 0,
    address: Address | None = None,
    authkey: bytes | None = None,
) -> Iterator[Told]:
    here, there = Pipe()
    orphaned = threading.Event()
    config = ProducerConfig(
        number=number,
        plan=plan,
        addresses=(address or manager.address,),
        authkey=authkey or manager.authkey,
    )
    thread = threading.Thread(target=Producer(config, there, orphaned.set).run, daemon=True)
    thread.start()
    told = Told(here)
    try:
        yield told
        thread.join(30)
        assert not thread.is_alive()
    finally:
        here.close()
        assert orphaned.wait(30), "it does not notice that nobody listens any more"
        there.close()


def test_every_task_is_sent_waited_for_and_judged(manager: RunningManager) -> None:
    with working(manager), producing(manager) as told:
        assert told.last() == Finished(21)
    audit = Audit()
    for record in told.records():
        audit.add(record)
    assert audit.verdict(21).holds
    assert len({record.id for record in told.records()}) == 21
    assert all(record.seconds and 0 < record.seconds < 30 for record in told.records())


def test_it_sends_what_its_seed_says_in_that_order(manager: RunningManager) -> None:
    with working(manager), producing(manager, number=1) as told:
        told.last()
    with Client(manager.address, manager.authkey) as client:
        tasks = client.list([State.DONE], limit=500).tasks
    expected = [(job.type, job.input) for _, job in zip(range(20), Load(7, 1, 4), strict=False)]
    assert [(task.type, task.input) for task in sorted(tasks, key=lambda t: t.id)] == expected


def test_a_wrong_output_does_not_get_through(manager: RunningManager) -> None:
    def answer(task: Task) -> object:
        return "not it" if task.type == "reverse" else right(task)

    with working(manager, answer), producing(manager) as told:
        told.last()
    wrong = {record.type for record in told.records() if record.wrong}
    assert wrong == {"reverse"}


def test_a_task_that_the_manager_does_not_know_any_more_is_lost(manager: RunningManager) -> None:
    lost: list[str] = []

    def answer(task: Task) -> object:
        if not lost:  # cancelled and forgotten while it waits: from outside, as good as lost
            with Client(manager.address, manager.authkey) as client:
                found = client.list([State.WAITING], limit=1).tasks
                for task_ in found:
                    client.cancel(task_.id)
                    client.forget(task_.id)
                    lost.append(task_.id)
        return right(task)

    with producing(manager, Plan(producers=1, count=20, delay=0, encoder_cost=4)) as told:
        while told.sent() < 10:
            pass
        with working(manager, answer):
            assert told.last() == Finished(20)
    assert [record.id for record in told.records() if record.end is End.LOST] == lost
    assert lost


def test_a_producer_that_is_faster_than_the_workers_waits_for_them_and_not_for_ever(
    manager: RunningManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(book, "_KEPT", 0)
    monkeypatch.setattr(book, "_UNJUDGED_MAX", 3)
    with working(manager), producing(manager) as told:
        assert told.last() == Finished(21)
    assert {record.end for record in told.records()} == {End.DONE}
    assert max(word.sent - word.ended for word in told.words if isinstance(word, Count)) <= 3


def test_a_stop_ends_the_sending_and_not_the_waiting(manager: RunningManager) -> None:
    with producing(manager, Plan(delay=0.001, encoder_cost=4)) as told:
        while told.sent() < 3:
            pass
        say(told.pipe, Order.STOP)
        with working(manager):
            last = told.last()
    assert isinstance(last, Finished)
    assert len(told.records()) == last.sent
    assert {record.end for record in told.records()} == {End.DONE}


def test_a_stop_ends_the_pause_too(manager: RunningManager) -> None:
    with working(manager), producing(manager, Plan(delay=86400, encoder_cost=4)) as told:
        assert told.sent() == 1
        say(told.pipe, Order.STOP)
        assert told.last() == Finished(1)


def test_leaving_judges_what_has_not_ended(manager: RunningManager) -> None:
    with producing(manager) as told:
        while told.sent() < 3:
            pass
        say(told.pipe, Order.STOP)
        say(told.pipe, Order.LEAVE)
        last = told.last()
    assert isinstance(last, Finished)
    assert [record.end for record in told.records()] == [End.UNFINISHED] * last.sent


def test_results_of_others_are_noticed_while_all_lanes_wait_for_tasks_that_hang(
    manager: RunningManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LANES", 1)
    monkeypatch.setattr(module, "_LOOK", 0.01)
    ids: list[str] = []
    with producing(manager, Plan(producers=1, count=5, delay=0, encoder_cost=4)) as told:
        with Client(manager.address, manager.authkey) as client:
            while len(ids) < 5:
                ids = [task.id for task in client.list([State.WAITING]).tasks]
            client.cancel_many(ids[1:])  # the first stays: nobody works
        while not (isinstance(word := told.next(), Count) and word.ended == 4):
            pass
        say(told.pipe, Order.LEAVE)
        told.last()
    assert [record.id for record in told.records() if record.end is End.UNFINISHED] == ids[:1]


def test_a_manager_that_cannot_be_reached_is_told_as_the_error_it_is(
    monkeypatch: pytest.MonkeyPatch, manager: RunningManager
) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.0)
    with producing(manager, address=Address("127.0.0.1", 1)) as told:
        word = told.last()
    assert isinstance(word, Broken)
    assert word.code == "unreachable"


def test_a_wrong_key_is_told_as_the_error_it_is(manager: RunningManager) -> None:
    with producing(manager, authkey=b"x" * 32) as told:
        word = told.last()
    assert isinstance(word, Broken)
    assert word.code == "auth_failed"
