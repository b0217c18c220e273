"""The proxy: whatever it does to a connection, a patient client gets through, once; and it hears verdicts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from qm.client import Client
from qm.errors import LeaseLost, Unreachable
from qm.ids import new_id
from qm.messages import Finish, Slot, TypeOptions, Verdict, WorkerInfo
from qm.simulator.chaos.journal import Claimed, Journal, Settled, read_journals
from qm.simulator.chaos.proxy import Proxy
from qm.simulator.chaos.schedule import Deed
from qm.store.memory import MemoryStore
from qm.task import Failure, State
from qm.testing import RunningManager, running_manager

CUTS = [Deed.RESET, Deed.SILENCE, Deed.DELAY, Deed.LOSE_REPLY, Deed.LATE, Deed.HALF]

#: Seconds that a fault lasts here.
SHORT = 0.1


@pytest.fixture
def manager() -> Iterator[RunningManager]:
    with running_manager(MemoryStore()) as manager:
        yield manager


@pytest.fixture
def proxy(manager: RunningManager, tmp_path: Path) -> Iterator[Proxy]:
    proxy = Proxy(Journal(tmp_path, "proxy"))
    proxy.manager = manager.address
    proxy.start()
    yield proxy
    proxy.stop()
    assert proxy.nonsense == []


@pytest.fixture
def client(manager: RunningManager, proxy: Proxy) -> Iterator[Client]:
    with Client(proxy.address, manager.authkey) as client:
        client.status()  # there is one connection, and its handshake is over
        yield client


def settled(folder: Path) -> list[Settled]:
    return [entry.event for entry in read_journals(folder) if isinstance(entry.event, Settled)]


@pytest.mark.parametrize("cut", CUTS)
def test_an_add_gets_through_every_fault_and_happens_once(cut: Deed, client: Client, proxy: Proxy) -> None:
    proxy.strike(cut, SHORT, 0.0)
    id_ = client.add("mail", "hello")
    assert client.get(id_).input == "hello"
    assert client.status().wait == 1


@pytest.mark.parametrize("cut", [Deed.RESET, Deed.LOSE_REPLY, Deed.LATE, Deed.HALF])
def test_an_impatient_client_sees_the_fault(
    cut: Deed, client: Client, proxy: Proxy, manager: RunningManager
) -> None:
    with Client(proxy.address, manager.authkey, patience=0) as impatient:
        impatient.status()
        proxy.strike(cut, SHORT, 0.99)  # the last one that came
        with pytest.raises(Unreachable):
            impatient.add("mail")


def test_a_lost_reply_is_one_to_a_call_that_happened(
    client: Client, proxy: Proxy, manager: RunningManager
) -> None:
    with Client(proxy.address, manager.authkey, patience=0) as impatient:
        impatient.status()
        proxy.strike(Deed.LOSE_REPLY, SHORT, 0.99)
        with pytest.raises(Unreachable):
            impatient.add("mail", id="the-one")
    assert client.get("the-one").state is State.WAITING


def test_while_the_manager_is_away_nobody_gets_through(client: Client, proxy: Proxy) -> None:
    proxy.manager = None
    proxy.strike(Deed.RESET, SHORT, 0.0)
    with pytest.raises(Unreachable), Client(proxy.address, b"k" * 32, patience=0) as other:
        other.status()


def test_what_is_healed_does_not_break_any_more(
    client: Client, proxy: Proxy, manager: RunningManager
) -> None:
    with Client(proxy.address, manager.authkey, patience=0) as impatient:
        impatient.status()
        proxy.strike(Deed.LOSE_REPLY, SHORT, 0.99)
        proxy.heal()
        assert impatient.status().wait == 0


def test_it_hears_what_the_manager_answers_to_every_settlement(client: Client, tmp_path: Path) -> None:
    info = WorkerInfo(session=new_id(), host="h", pid=1, processes=1, types={"mail": TypeOptions()})
    client.attach(info)
    slot = Slot(info.session, 0, 0)
    one, two, three = (client.add("mail") for _ in range(3))
    first, second, third = client.take_many(slot, ["mail"], 3)
    client.finish(first.lease, 1)
    client.finish(first.lease, 1)
    client.fail(second.lease, Failure("E", "no"), retryable=False)
    client.release(third.lease)
    with pytest.raises(LeaseLost):
        client.finish(third.lease, 3)
    assert [(s.verb, s.id, s.verdict, s.ends) for s in settled(tmp_path)] == [
        ("finish", one, Verdict.ACCEPTED, True),
        ("finish", one, Verdict.REPEATED, True),
        ("fail", two, Verdict.ACCEPTED, True),
        ("release", three, Verdict.ACCEPTED, False),
        ("finish", three, Verdict.LOST, True),
    ]
    assert settled(tmp_path)[0].token == first.lease.token


def test_it_hears_whom_the_manager_gives_which_lease(client: Client, tmp_path: Path) -> None:
    info = WorkerInfo(session=new_id(), host="h", pid=1, processes=1, types={"mail": TypeOptions()})
    client.attach(info)
    slot = Slot(info.session, 2, 3)
    ids = [client.add("mail") for _ in range(3)]
    first, second = client.take_many(slot, ["mail"], 2)
    third = client.exchange(slot, [Finish(first.lease, b"")], ["mail"], holding=[second.lease]).tasks[0]
    found = [entry.event for entry in read_journals(tmp_path) if isinstance(entry.event, Claimed)]
    assert [claim.id for claim in found] == ids
    assert [claim.token for claim in found] == [taken.lease.token for taken in (first, second, third)]
    assert {(claim.attempt, claim.slot) for claim in found} == {(1, f"{info.session} 2 3")}
    assert all(claim.asked <= claim.answered for claim in found)
    assert [s.id for s in settled(tmp_path)] == ids[:1]


def test_connections_are_counted(client: Client, proxy: Proxy, manager: RunningManager) -> None:
    before = proxy.connections
    with Client(proxy.address, manager.authkey) as other:
        other.status()
        assert proxy.connections == before + 1


def test_it_hears_an_answer_that_is_lost_on_the_way(client: Client, proxy: Proxy, tmp_path: Path) -> None:
    info = WorkerInfo(session=new_id(), host="h", pid=1, processes=1, types={"mail": TypeOptions()})
    client.attach(info)
    client.add("mail")
    taken = client.take(Slot(info.session, 0, 0), ["mail"])
    assert taken is not None
    proxy.strike(Deed.LOSE_REPLY, SHORT, 0.0)
    client.finish(taken.lease, 1)
    assert [s.verdict for s in settled(tmp_path)] == [Verdict.ACCEPTED, Verdict.REPEATED]
