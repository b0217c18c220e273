"""Poison payloads: each comes back as it was, or is refused by the client that was given it, and nothing else
suffers. Over both stores, plain and sealed, as inputs and as outputs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from qm.client import Client, new_task
from qm.errors import BadPayload, TooLarge
from qm.ids import new_id
from qm.messages import Slot, Taken, TypeOptions, WorkerInfo
from qm.payload import unpack
from qm.sealing import new_key
from qm.store.base import Store
from qm.store.memory import MemoryStore
from qm.store.sqlite import SQLiteStore
from qm.testing import RunningManager, running_manager
from tests.poison import CARRIED, REFUSED, same

KEYS = (new_key(),)


@pytest.fixture(params=["memory", "sqlite"], scope="module")
def manager(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    store: Store = MemoryStore()
    if request.param == "sqlite":
        store = SQLiteStore.open(tmp_path_factory.mktemp("store") / "queue.db", durability="relaxed")
    with running_manager(store) as manager:
        yield manager
    store.close()


@pytest.fixture(params=["plain", "sealed"], scope="module")
def client(request: pytest.FixtureRequest, manager: RunningManager) -> Client:
    return manager.client(payload_keys=KEYS if request.param == "sealed" else ())


@pytest.fixture(scope="module")
def slot(client: Client) -> Slot:
    slot = Slot(new_id(), 0, 0)
    types = {"poison": TypeOptions()}
    client.attach(WorkerInfo(session=slot.session, host="here", pid=1, processes=1, types=types))
    return slot


def take(client: Client, slot: Slot) -> Taken:
    taken = client.take(slot, ["poison"])
    assert taken is not None
    return taken


@pytest.mark.parametrize("value", CARRIED.values(), ids=CARRIED)
def test_what_can_be_carried_comes_back_as_it_was(client: Client, slot: Slot, value: Any) -> None:
    id_ = client.add("poison", value)
    taken = take(client, slot)
    assert same(unpack(taken.input), value)
    client.finish(taken.lease, value)
    assert same(client.result(id_), value)
    task = client.get(id_)
    assert same(task.input, value) and same(task.output, value)
    client.list(limit=500)
    assert client.add("poison", value, id=id_) == id_, "the same input is the same task"
    client.forget(id_)


@pytest.mark.parametrize("value", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_carried_is_refused_and_nothing_was_sent(
    client: Client, slot: Slot, value: Any
) -> None:
    waiting = client.status().wait
    with pytest.raises((BadPayload, TooLarge)):
        client.add("poison", value)
    with pytest.raises((BadPayload, TooLarge)):
        client.add_many([new_task("poison", 1, id="first"), new_task("poison", value)])
    assert client.status().wait == waiting, "not even the good one beside it: it was never made"
    id_ = client.add("poison", "the next one")
    taken = take(client, slot)
    with pytest.raises((BadPayload, TooLarge)):
        client.finish(taken.lease, value)
    client.finish(taken.lease, "still held")
    assert client.result(id_) == "still held"
    client.forget(id_)
