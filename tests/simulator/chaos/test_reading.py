"""The last reading finds every task, asked for or not, and counts the strikes in the records."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from qm.client import Client
from qm.ids import new_id
from qm.messages import Crash, Slot, TypeOptions, WorkerInfo
from qm.simulator.chaos.digest import digest
from qm.simulator.chaos.journal import Added, Adding, Entry, Event, Fault, Journal, Left, read_journals
from qm.simulator.chaos.reading import attempted, read_all
from qm.store.memory import MemoryStore
from qm.task import State
from qm.testing import running_manager


@pytest.fixture
def client() -> Iterator[Client]:
    with running_manager(MemoryStore()) as manager:
        yield manager.client()


def left(client: Client, ids: list[str], folder: Path) -> dict[str, Left]:
    read_all(client, ids, Journal(folder, "test"))
    events = [entry.event for entry in read_journals(folder)]
    found = {event.id: event for event in events if isinstance(event, Left)}
    assert len(found) == len(events), "each is read once"
    return found


def worker(client: Client, incarnation: int = 0) -> Slot:
    info = WorkerInfo(session=new_id(), host="h", pid=1, processes=1, types={"mail": TypeOptions()})
    client.attach(info)
    return Slot(info.session, 0, incarnation)


def test_all_that_somebody_tried_to_add_is_known_once() -> None:
    events: list[Event] = [Adding(["a", "b"]), Added(["a", "b"]), Adding(["b", "c"]), Fault("x")]
    assert attempted(Entry(0.0, event) for event in events) == ["a", "b", "c"]


def test_every_task_is_found_also_one_that_nobody_asked_for(client: Client, tmp_path: Path) -> None:
    mine, stranger = client.add("mail"), client.add("mail")
    found = left(client, [mine, "gone"], tmp_path)
    assert set(found) == {mine, stranger}
    assert found[mine].state is State.WAITING


def test_there_may_be_more_than_one_page_of_strangers(client: Client, tmp_path: Path) -> None:
    ids = [client.add("mail") for _ in range(510)]
    assert set(left(client, ids[:2], tmp_path)) == set(ids)


def test_a_result_is_read_with_its_digest(client: Client, tmp_path: Path) -> None:
    id_ = client.add("mail")
    taken = client.take(worker(client), ["mail"])
    assert taken is not None
    client.finish(taken.lease, "sent")
    found = left(client, [id_], tmp_path)[id_]
    assert (found.state, found.attempt, found.output) == (State.DONE, 1, digest("sent"))
    assert found.ended == client.get(id_).ended


def test_strikes_are_the_recorded_deaths_and_nothing_else(client: Client, tmp_path: Path) -> None:
    id_ = client.add("mail")
    taken = client.take(worker(client), ["mail"])
    assert taken is not None
    client.release(taken.lease)
    for _ in range(3):
        slot = worker(client)
        taken = client.take(slot, ["mail"])
        assert taken is not None
        client.crashed(Crash(slot=slot, exitcode=-9, current=taken.lease))
    found = left(client, [id_], tmp_path)[id_]
    assert (found.state, found.strikes, found.reason) == (State.FAILED, 3, "crashed 3 times: SIGKILL")
    assert (found.attempt, found.recorded) == (4, 4), "every claim has an end"


def test_the_ends_of_a_task_that_was_taken_once_are_not_asked_for(client: Client, tmp_path: Path) -> None:
    id_ = client.add("mail")
    taken = client.take(worker(client), ["mail"])
    assert taken is not None
    client.finish(taken.lease, "sent")
    assert left(client, [id_], tmp_path)[id_].recorded is None
