"""A client of several managers: what it says again elsewhere, and that nothing of it counts twice.

Two wires in front of one manager stand for two managers of one store.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from qm.client import Client, new_task
from qm.errors import BadRequest, SessionLost, Unreachable
from qm.limits import ADD_CHUNK
from qm.messages import Finish, Slot, TypeOptions, Verdict, WorkerInfo
from qm.payload import pack
from qm.task import State
from qm.testing import RunningManager, running_manager
from tests.client.wire import Wire


class Front:
    """Two addresses of one manager."""

    def __init__(self, manager: RunningManager) -> None:
        self.wires = [Wire(manager.address), Wire(manager.address)]
        self._authkey = manager.authkey

    def client(self, **more: float) -> Client:
        return Client([wire.address for wire in self.wires], self._authkey, tls="", **more)  # type: ignore[arg-type]

    def wire(self, client: Client) -> Wire:
        """The one that the client uses."""
        return self.wires[client.place]

    def close(self) -> None:
        for wire in self.wires:
            wire.close()


@pytest.fixture
def front(manager: RunningManager) -> Iterator[Front]:
    front = Front(manager)
    yield front
    front.close()


def attach(client: Client, session: str) -> None:
    client.attach(
        WorkerInfo(session=session, host="alpha", pid=1, processes=1, types={"mail": TypeOptions()})
    )


@pytest.mark.parametrize("form", ["text", "texts", "pairs"])
def test_addresses_are_said_as_text_or_as_a_list(form: str) -> None:
    where = {
        "text": "a:1, b:2,[::1]:3",
        "texts": ["a:1", "b:2", "[::1]:3", "a:1"],
        "pairs": [("a", 1), ("b", 2), ("::1", 3)],
    }[form]
    client = Client(where, b"k" * 32)  # type: ignore[arg-type]
    assert client.addresses == (("a", 1), ("b", 2), ("::1", 3))
    assert client.address in client.addresses and client.addresses[client.place] == client.address


def test_the_environment_may_name_several(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QM_RPC", "a:1,b")
    assert Client(authkey=b"k" * 32).addresses == (("a", 1), ("b", 8090))
    assert Client("", b"k" * 32).addresses == (("a", 1), ("b", 8090))


@pytest.mark.parametrize("where", ["a:1,,b:2", "a:1,", ",", [], ["a:1", "b c"], [[]]])
def test_bad_lists_are_refused(where: str) -> None:
    with pytest.raises(BadRequest):
        Client(where, b"k" * 32)


def test_an_add_whose_answer_is_lost_is_said_at_the_other_and_makes_no_second_task(front: Front) -> None:
    """Without any patience: there is somewhere else to go."""
    with front.client(patience=0.0) as client:
        client.status()
        for _ in range(3):
            wire = front.wire(client)
            wire.lose_answers()
            client.add("mail", 1)
            assert front.wire(client) is not wire
        front.wire(client).lose_answers()
        ids = client.add_many(new_task("mail", n) for n in range(ADD_CHUNK + 1))
        assert client.status().wait == 3 + len(ids)


def test_a_get_that_waits_goes_on_at_the_other(front: Front, manager: RunningManager) -> None:
    with front.client() as client, front.client() as second:
        id_ = client.add("mail")
        front.wire(client).close()
        second.cancel(id_)
        assert client.get(id_, wait=20).state is State.CANCELLED


def test_a_take_whose_answer_is_lost_is_a_new_call_at_the_other(front: Front) -> None:
    """Under the same number, a manager that has carried it out would rightly give nothing."""
    with front.client() as client:
        attach(client, "s")
        id_ = client.add("mail")
        front.wire(client).lose_answers()
        taken = client.take(Slot("s", 0, 0), ["mail"])
        assert taken is not None and taken.id == id_
        front.wire(client).lose_answers()
        settled = client.exchange(Slot("s", 0, 0), [Finish(taken.lease, pack(1))], ["mail"], 0)
        assert settled.verdicts == [Verdict.REPEATED]
        assert client.result(id_) == 1
        assert [attempt.outcome.value for attempt in client.attempts(id_)] == ["released", "ok"]


def test_settlements_whose_answer_is_lost_are_repeated_at_the_other(front: Front) -> None:
    with front.client(patience=0.0) as client:
        attach(client, "s")
        id_ = client.add("mail")
        taken = client.take(Slot("s", 0, 0), ["mail"])
        assert taken is not None
        front.wire(client).lose_answers()
        client.finish(taken.lease, 7)
        assert client.result(id_) == 7


def test_a_pool_that_comes_to_another_manager_hears_that_it_must_attach(monkeypatch: object) -> None:
    """Two managers that do not know each other stand for a session that is served elsewhere."""
    with running_manager(authkey=b"k" * 32) as one, running_manager(authkey=b"k" * 32) as two:
        wires = [Wire(one.address), Wire(two.address)]
        with Client([wire.address for wire in wires], b"k" * 32, tls="") as client:
            attach(client, "s")
            wires[client.place].close()
            with pytest.raises(SessionLost):
                client.renew("s")
            attach(client, "s")
            client.renew("s")
        for wire in wires:
            wire.close()


def test_a_client_whose_patience_is_over_names_all(front: Front) -> None:
    front.close()
    with front.client(patience=0.2) as client, pytest.raises(Unreachable) as caught:
        client.status()
    assert all(str(wire.address) in str(caught.value) for wire in front.wires)


def test_wires_that_die_and_come_back_lose_nothing(front: Front, manager: RunningManager) -> None:
    """One after another, at random, under a producer's feet."""
    with front.client(patience=20.0) as client:
        ids = []
        for n in range(200):
            if n % 10 == 0:
                dead = random.randrange(2)
                front.wires[dead].close()
            ids.append(client.add("mail", n))
            if n % 10 == 9:
                front.wires[dead] = Wire(manager.address, front.wires[dead].address.port)
        assert client.status().wait == 200
        assert {task.input for task in client.get_many(ids)} == set(range(200))
