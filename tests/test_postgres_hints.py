"""Managers hear of tasks that were added in users' transactions, with the commit and not before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

import qm.postgres
from qm import new_task
from qm.errors import NotCommitted
from qm.messages import AddStatus, Finish
from qm.store.postgres.hints import Message, decode
from qm.task import State
from tests.postgres import Cluster, want_postgres
from tests.queue.bench import PATIENCE, Call, a_claim
from tests.queue.test_neighbours import Manager, in_the_end


@pytest.fixture
def cluster() -> Cluster:
    return want_postgres()


@pytest.fixture
def url(cluster: Cluster) -> str:
    return cluster.emptied()


@pytest.fixture
def manager(url: str) -> Iterator[Manager]:
    manager = Manager(url)
    yield manager
    manager.stop()


@pytest.fixture
def db(url: str) -> Iterator[psycopg.Connection]:
    with closing(psycopg.connect(url)) as db:
        yield db


def no_looks(manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on it finds out nothing but by hints."""
    monkeypatch.setattr(manager.core.neighbours, "look", lambda: None)


@pytest.mark.parametrize("notify", [True, False])
def test_a_parked_taker_has_it_after_the_commit(
    manager: Manager, db: psycopg.Connection, notify: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager.attach()
    call = Call(manager.queue.take, a_claim(), PATIENCE)
    in_the_end(lambda: bool(manager.core.takers))
    if notify:
        no_looks(manager, monkeypatch)
    qm.postgres.add(db, "mail", id="undone", notify=notify)
    db.rollback()
    qm.postgres.add(db, "mail", id="a", notify=notify)
    assert manager.queue.status().states[State.WAITING] == 0
    assert call.is_alive()
    db.commit()
    (taken,) = call.answer()
    assert taken.id == "a"
    assert manager.queue.finish([Finish(taken.lease, b"\xc0")]) == ["accepted"]
    monkeypatch.undo()  # a look reads the counts
    in_the_end(lambda: manager.queue.status().types == {"mail": {State.DONE: 1}})


def test_each_task_of_a_transaction_wakes_somebody(
    manager: Manager, db: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Said one by one: equal hints of a transaction would come once."""
    manager.attach()
    calls = [Call(manager.queue.take, a_claim(index=n), PATIENCE) for n in range(3)]
    in_the_end(lambda: len(manager.core.takers) == 3)
    no_looks(manager, monkeypatch)
    for id_ in "abc":
        qm.postgres.add(db, "mail", id=id_)
    db.commit()
    assert sorted(task.id for call in calls for task in call.answer()) == ["a", "b", "c"]


def test_a_delayed_task_is_promoted_in_time(manager: Manager, db: psycopg.Connection) -> None:
    manager.attach()
    call = Call(manager.queue.take, a_claim(), PATIENCE)
    qm.postgres.add(db, "mail", id="a", delay=0.05)
    db.commit()
    assert [task.id for task in call.answer()] == ["a"]


def test_it_can_be_cancelled_and_got_as_any_other(manager: Manager, db: psycopg.Connection) -> None:
    qm.postgres.add(db, "mail", 1, id="a")
    assert manager.queue.get(["a"]).missing == ["a"]
    db.commit()
    assert manager.queue.get(["a"]).tasks[0].state is State.WAITING
    assert manager.queue.cancel(["a"]) == [State.WAITING]
    assert qm.postgres.add(db, "mail", 1, id="a") == "a"


def test_a_late_commit_comes_before_what_was_added_after_it(manager: Manager, db: psycopg.Connection) -> None:
    manager.attach()
    qm.postgres.add(db, "mail", id="late")
    manager.queue.add([new_task("mail", id="other")])
    db.commit()
    in_the_end(lambda: manager.queue.status().states[State.WAITING] == 2)
    taken = manager.queue.take(a_claim(limit=2), 0)
    assert [task.id for task in taken] == ["late", "other"]


def test_an_id_that_an_open_transaction_adds_is_not_waited_for_by_other_calls(
    manager: Manager, db: psycopg.Connection
) -> None:
    """All calls of a manager stand behind the one that waits for a lock."""
    qm.postgres.add(db, "mail", 1, id="a")
    with pytest.raises(NotCommitted, match=r"another transaction .* holds what this needs"):
        manager.queue.add([new_task("mail", 1, id="a")])
    assert manager.queue.add([new_task("mail", 1, id="b")]).statuses == [AddStatus.CREATED]
    db.commit()
    assert manager.queue.add([new_task("mail", 1, id="a")]).statuses == [AddStatus.DUPLICATE]


def heard(url: str, db: psycopg.Connection) -> list[Message]:
    """What a commit of `db` says on the channel."""
    with psycopg.connect(url, autocommit=True) as ear:
        ear.execute("LISTEN qmanager")
        db.commit()
        payloads = [notify.payload for notify in ear.notifies(timeout=0.2)]
    found = [decode(payload) for payload in payloads]
    assert all(len(payload) < 8000 for payload in payloads)
    assert None not in found
    return [message for message in found if message is not None]


def test_what_is_said(url: str, db: psycopg.Connection) -> None:
    tasks = [("mail", 0), ("mail", 0), ("sms", 0), ("mail", 1), ("fax", 9)]
    qm.postgres.add_many(db, [new_task(type_, delay=delay) for type_, delay in tasks])
    (due,) = db.execute("SELECT min(due) FROM qmanager.tasks").fetchone() or ()
    assert heard(url, db) == [Message(waiting={"mail": 2, "sms": 1}), Message(due=due)]


def test_nothing_new_says_nothing(url: str, db: psycopg.Connection) -> None:
    qm.postgres.add(db, "mail", id="a")
    db.commit()
    qm.postgres.add(db, "mail", id="a")
    qm.postgres.add(db, "mail", id="b", notify=False)
    assert heard(url, db) == []


def test_many_types_are_said_in_several_hints(url: str, db: psycopg.Connection) -> None:
    """A payload has less than 8,000 bytes."""
    names = [f"{n:03}{'x' * 61}" for n in range(200)]
    qm.postgres.add_many(db, [new_task(name) for name in names])
    messages = heard(url, db)
    assert len(messages) == 3
    assert sorted(name for message in messages for name in message.waiting) == names
