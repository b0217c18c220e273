"""A manager that does not answer: gone, restarting, behind a cut connection, or with another key."""

from __future__ import annotations

import secrets
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

from qm.client import Client, new_task
from qm.errors import AuthFailed, BadRequest, Unreachable
from qm.limits import ADD_CHUNK
from qm.messages import Slot, TypeOptions, WorkerInfo
from qm.store.sqlite import SQLiteStore
from qm.task import State
from qm.testing import RunningManager, running_manager
from tests.client.wire import Wire
from tests.client.worker import Worker
from tests.queue.bench import PATIENCE, Call, PickyStore, Sleepers


def test_an_add_whose_answer_is_lost_is_said_again_and_makes_no_second_task(
    manager: RunningManager, wire: Wire
) -> None:
    with Client(wire.address, manager.authkey) as client:
        client.status()
        wire.lose_answers(3)
        id_ = client.add("mail", 1)
        wire.lose_answers(2)
        ids = client.add_many(new_task("mail", n) for n in range(ADD_CHUNK + 1))
        assert wire.lost == 5
        assert client.get(id_).input == 1
        assert client.status().wait == 1 + len(ids)


@pytest.mark.parametrize("verb", ["cancel", "forget", "get", "status"])
def test_other_verbs_whose_answer_is_lost_are_said_again_too(
    manager: RunningManager, wire: Wire, verb: str
) -> None:
    with Client(wire.address, manager.authkey) as client:
        id_ = client.add("mail")
        if verb == "forget":
            client.cancel(id_)
        wire.lose_answers()
        getattr(client, verb)(*([] if verb == "status" else [id_]))
        assert wire.lost == 1


def test_an_add_that_was_not_committed_is_said_again(client: Client, store: PickyStore) -> None:
    store.refuse = 2
    id_ = client.add("mail")
    assert store.refuse == 0
    assert client.get(id_).state is State.WAITING


def stop_and_start(
    store: Any, sleepers: Sleepers, begin: Callable[[Client], Call], end: Callable[[RunningManager], None]
) -> Any:
    """Begins a call that waits in a manager, restarts the manager, and ends the wait in the new one."""
    with running_manager(store) as first:
        client = Client(first.address, first.authkey)
        call = begin(client)
        sleepers.expect()
    with running_manager(store, address=first.address, authkey=first.authkey) as second:
        sleepers.expect()
        end(second)
        answer = call.answer()
    client.close()
    return answer


def test_a_get_that_waits_outlives_a_restart_of_the_manager(sleepers: Sleepers, tmp_path: Any) -> None:
    store = SQLiteStore.open(tmp_path / "queue.db", durability="relaxed")

    def begin(client: Client) -> Call:
        return Call(client.result, client.add("mail"), 60)

    def end(manager: RunningManager) -> None:
        Worker(manager.client()).finish("after the restart")

    assert stop_and_start(store, sleepers, begin, end) == "after the restart"
    store.close()


def test_a_take_that_waits_outlives_a_restart_of_the_manager(store: PickyStore, sleepers: Sleepers) -> None:
    def begin(client: Client) -> Call:
        info = WorkerInfo(session="pool", host="a", pid=1, processes=1, types={"mail": TypeOptions()})
        client.attach(info)
        return Call(take_until, client)

    def take_until(client: Client) -> str:
        while (taken := client.take(Slot("pool", 0, 0), ["mail"], 60)) is None:
            pass  # the manager that stopped ended the wait; the next call waits in the new one
        return taken.id

    def end(manager: RunningManager) -> None:
        manager.client().add("mail", id="new")

    assert stop_and_start(store, sleepers, begin, end) == "new"


def test_no_manager_there_is_an_error_that_says_where_and_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = taken.getsockname()
    with (
        Client(address, secrets.token_bytes(32), patience=0.05) as client,
        pytest.raises(Unreachable, match=f"127.0.0.1:{address[1]}") as caught,
    ):
        client.add("mail")
    assert 'start one with "qmanager"' in (caught.value.hint or "")


def test_a_wrong_key_is_an_error_at_once(manager: RunningManager) -> None:
    with (
        Client(manager.address, secrets.token_bytes(32)) as client,
        pytest.raises(AuthFailed, match="refused the authkey"),
    ):
        client.status()


@pytest.mark.parametrize("key", [b"", b"short"])
def test_a_key_too_short_is_refused_and_no_other_is_tried(key: bytes) -> None:
    with pytest.raises(BadRequest, match="at least 32 bytes"):
        Client(("127.0.0.1", 1), key)


def test_address_and_key_come_from_the_environment(
    manager: RunningManager, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("QM_HOME", str(tmp_path))
    with pytest.raises(BadRequest, match="cannot read the authkey"):
        Client()
    key = tmp_path / "authkey"
    key.write_bytes(secrets.token_hex(32).encode())
    key.chmod(0o600)
    monkeypatch.setenv("QM_RPC", f"127.0.0.1:{manager.address.port}")
    with Client() as client:
        assert str(client.address) == str(manager.address)
    with Client("127.0.0.1:9", manager.authkey) as other:
        assert other.address.port == 9


def test_after_close_the_waiting_for_a_manager_that_is_away_ends() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = taken.getsockname()
    client = Client(address, secrets.token_bytes(32), patience=3600)
    tried = threading.Event()
    once = client._queue.status

    def watched() -> Any:
        tried.set()
        return once()

    client._queue.status = watched  # type: ignore[method-assign]
    call = Call(client.status)
    assert tried.wait(PATIENCE), "it never tried"
    client.close()
    with pytest.raises(Unreachable):
        call.answer()
