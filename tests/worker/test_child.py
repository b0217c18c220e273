"""The loop of a child that meets tasks it cannot open: it burns few of them, and comes to no harm."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from qm.client import Client, new_task
from qm.clock import boottime
from qm.messages import Slot, TypeOptions, WorkerInfo
from qm.operations import Operations
from qm.sealing import new_key
from qm.task import State
from qm.testing import RunningManager, running_manager
from qm.worker.alarm import Alarm
from qm.worker.child import Child
from qm.worker.output import Output
from qm.worker.page import Page

SLOT = Slot("pool", 0, 0)
KEY, OTHER = new_key(), new_key()


@pytest.fixture
def manager() -> Iterator[RunningManager]:
    with running_manager() as manager:
        yield manager


class Nursery:
    """Makes a child that takes all it can get, and leaves after so many pauses."""

    def __init__(self, manager: RunningManager) -> None:
        self._manager = manager
        self.page = Page.create()
        self.page.session_end = boottime() + 3600
        self.alarm = Alarm.create(1.0)
        self.pauses: list[float] = []
        self.on_pause: Callable[[], object] = list

    def work(self, keys: Sequence[str], rounds: int, ran: Callable[[Any], object], delay: float = 0) -> None:
        client = self._manager.client(payload_keys=keys)
        options = {"mail": TypeOptions()}
        client.attach(WorkerInfo(session="pool", host="here", pid=1, processes=1, types=options))
        operations = Operations()
        operations.operation("mail")(ran)
        child = Child(client, operations, SLOT, self.page, self.alarm, Output.create(), delay)
        child._pace._size = 1 if delay else 100

        def pause(timeout: float | None = None) -> bool:
            self.pauses.append(timeout or 0.0)
            self.on_pause()
            if len(self.pauses) == rounds:
                self.page.drain()
            return False

        child._leaving.wait = pause  # type: ignore[method-assign]
        child.work()


@pytest.fixture
def nursery(manager: RunningManager) -> Iterator[Nursery]:
    nursery = Nursery(manager)
    yield nursery
    nursery.alarm.close()
    nursery.page.sent()


def states(client: Client) -> list[tuple[State, int]]:
    return sorted((task.state, task.failures) for task in client.list().tasks)


@pytest.mark.parametrize("keys", [(), (OTHER,)], ids=["no key", "another key"])
def test_one_task_a_pause_is_failed_and_the_others_go_back_uncounted(
    manager: RunningManager, nursery: Nursery, keys: Sequence[str]
) -> None:
    client = manager.client(payload_keys=[KEY])
    client.add_many(new_task("mail", n, id=f"t{n}") for n in range(10))
    ran: list[Any] = []
    nursery.work(keys, 3, ran.append)
    assert nursery.pauses == [1.0] * 3 and not ran
    assert states(client) == [(State.SCHEDULED, 1)] * 3 + [(State.WAITING, 0)] * 7
    task = client.get("t0")
    assert task.due is not None and task.due > task.added + 5, "others come first, before it is tried again"
    error = manager.client(payload_keys=[KEY, OTHER]).attempts("t0")[0].error
    assert error is not None
    assert "no key here opens it" in error.message and "QM_PAYLOAD_KEYS" in error.traceback


def test_tasks_that_are_not_sealed_do_not_empty_the_queue_into_a_pool_with_keys(
    manager: RunningManager, nursery: Nursery
) -> None:
    plain = manager.client()
    plain.add_many(new_task("mail", n) for n in range(10))
    ran: list[Any] = []
    nursery.work([KEY], 2, ran.append)
    assert not ran
    assert states(plain) == [(State.SCHEDULED, 1)] * 2 + [(State.WAITING, 0)] * 8


def test_between_those_it_cannot_open_it_does_the_others(manager: RunningManager, nursery: Nursery) -> None:
    """One alien task costs one pause of one child, and holds up nobody behind it."""
    client, alien = manager.client(payload_keys=[KEY]), manager.client(payload_keys=[OTHER])
    client.add_many(new_task("mail", n) for n in range(3))
    alien.add("mail", "alien", id="alien")
    client.add_many(new_task("mail", n) for n in range(3, 6))
    ran: list[Any] = []

    def run(value: Any) -> None:
        ran.append(value)
        if len(ran) == 6:
            nursery.page.drain()

    nursery.work([KEY], 100, run)
    assert ran == [0, 1, 2, 3, 4, 5]
    assert nursery.pauses == [1.0]
    assert client.get("alien").failures == 1


def test_a_longer_delay_of_the_pool_is_kept(manager: RunningManager, nursery: Nursery) -> None:
    manager.client(payload_keys=[KEY]).add_many(new_task("mail", n) for n in range(3))
    nursery.work((), 2, print, delay=7.0)
    assert nursery.pauses == [7.0, 7.0]


@pytest.mark.parametrize("left", [0.0, 3600.0])
def test_a_child_whose_session_is_over_takes_nothing(
    manager: RunningManager, nursery: Nursery, left: float
) -> None:
    """As when its parent cannot renew it: what it took it could not start, and would give back at once, as
    fast as it goes. With the second it is over when the first task has run."""
    client = manager.client()
    client.add_many(new_task("mail", n, id=f"t{n}") for n in range(5))
    nursery.page.session_end = boottime() + left
    ran: list[Any] = []

    def run(value: Any) -> None:
        ran.append(value)
        nursery.page.session_end = 0.0

    nursery.work((), 4, run)
    assert nursery.pauses == [0.2] * 4
    assert ran == ([0] if left else [])
    assert [client.get(f"t{n}").attempt for n in range(1, 5)] == [1 if left else 0] * 4
    assert states(client) == [(State.DONE, 0)] * len(ran) + [(State.WAITING, 0)] * (5 - len(ran))


def test_and_goes_on_when_it_lives_again(manager: RunningManager, nursery: Nursery) -> None:
    manager.client().add("mail", "a")
    nursery.page.session_end = 0.0
    nursery.on_pause = lambda: setattr(nursery.page, "session_end", boottime() + 3600)
    nursery.work((), 100, lambda value: nursery.page.drain())
    assert nursery.pauses == [0.2]
    assert states(manager.client()) == [(State.DONE, 0)]


def test_without_such_tasks_there_is_no_pause(manager: RunningManager, nursery: Nursery) -> None:
    manager.client().add_many(new_task("mail", n) for n in range(5))
    ran: list[Any] = []

    def run(value: Any) -> None:
        ran.append(value)
        if len(ran) == 5:
            nursery.page.drain()
        raise ValueError("an ordinary failure")

    nursery.work((), 100, run)
    assert (ran, nursery.pauses) == ([0, 1, 2, 3, 4], [])


@pytest.mark.parametrize(
    ("level", "told"), [(logging.DEBUG, ["well", "ValueError"]), (logging.INFO, ["ValueError"])]
)
def test_the_log_says_how_attempts_ended_and_not_what_they_carry(
    manager: RunningManager, nursery: Nursery, caplog: pytest.LogCaptureFixture, level: int, told: list[str]
) -> None:
    client = manager.client()
    client.add_many([new_task("mail", "to ana", id="good"), new_task("mail", "to bor", id="bad")])

    def run(value: str) -> None:
        if value == "to bor":
            nursery.page.drain()
            raise ValueError(value)

    with caplog.at_level(level, logger="qm.worker.child"):
        nursery.work((), 100, run)
    said = [record.getMessage() for record in caplog.records if record.name == "qm.worker.child"]
    assert len(said) == len(told) and all(word in line for word, line in zip(told, said, strict=True))
    assert "qmclient show bad" in said[-1] and caplog.records[-1].levelno == logging.WARNING
    assert not any("bor" in line for line in said)
