"""qmclient cancel, requeue and forget."""

from __future__ import annotations

import pytest

from qm.client import Client
from qm.task import State
from tests.cli.stage import Call, Hand


def test_cancel_ends_what_waits_and_prints_its_id(call: Call, client: Client) -> None:
    one, two = client.add("mail", 1), client.add("mail", 2, delay=60)
    assert call("cancel", "--id", one, "--id", two) == (0, f"{one}\n{two}\n", "")
    assert [client.get(id_).state for id_ in (one, two)] == [State.CANCELLED, State.CANCELLED]
    assert call("cancel", "--id", one).code == 0, "twice is fine"


def test_requeue_gives_a_failed_task_another_chance(call: Call, client: Client, hand: Hand) -> None:
    id_ = client.add("reverse", 1)
    hand.fail("ValueError", "no")
    assert call("requeue", "-id", id_) == (0, f"{id_}\n", "")
    assert client.get(id_).state is State.WAITING


def test_forget_deletes_an_ended_task(call: Call, client: Client, hand: Hand) -> None:
    id_ = client.add("reverse", 1)
    hand.finish(1)
    assert call("forget", "--id", id_) == (0, f"{id_}\n", "")
    assert client.get_many([id_]) == []
    assert call("forget", "--id", id_).code == 0, "twice is fine"


@pytest.mark.parametrize("command", ["requeue", "forget", "cancel"])
def test_ids_may_stand_alone(call: Call, client: Client, hand: Hand, command: str) -> None:
    ids = [client.add("reverse", n, delay=60 if command == "cancel" else 0) for n in range(2)]
    if command != "cancel":
        hand.fail("ValueError", "no")
        hand.fail("ValueError", "no")
    assert call(command, *ids, ids[0]) == (0, f"{ids[0]}\n{ids[1]}\n", "")
    assert call(command, ids[0], "--id", ids[1]).code == 2, "one way or the other"


def test_the_new_state_is_printed_in_every_format(call: Call, client: Client) -> None:
    for id_ in "abc":
        client.add("mail", 1, id=id_)
    assert call("cancel", "--id", "a", "-o", "text").out == "Task ID: a\tState: cancelled\n"
    assert call("cancel", "--id", "b", "-o", "json").json == {"id": "b", "state": "cancelled"}
    assert call("cancel", "--id", "b", "--id", "c", "--json").json[1] == {"id": "c", "state": "cancelled"}
    assert call("forget", "--id", "a", "-o", "text").out == "Task ID: a\tState: forgotten\n"
    assert call("forget", "--id", "b", "-o", "jsonl").out == '{"id": "b", "state": null}\n'
    assert call("forget", "--id", "c", "-o", "id").out == "c\n"


def test_a_state_that_does_not_allow_it_is_said(call: Call, client: Client, hand: Hand) -> None:
    id_ = client.add("reverse", 1)
    assert call("requeue", "--id", id_).code == 0  # it waits already, which is what was asked for
    assert call("forget", "--id", id_).code == 1
    hand.wait_for_one()
    said = call("requeue", "--id", id_)
    assert said == (1, "", f"qmclient: task {id_} is running; only failed tasks can be requeued\n")


def test_a_running_task_is_cancelled_by_its_worker(
    call: Call, terminal: Call, client: Client, hand: Hand
) -> None:
    id_ = client.add("reverse", 1)
    hand.wait_for_one()
    assert (
        terminal("cancel", id_).out
        == f"Task ID: {id_}\tState: running, its worker has been told to stop it\n"
    )
    assert call("cancel", "--id", id_, "-o", "json").json == {"id": id_, "state": "running"}
    assert client.get(id_).cancelling
    hand.fail("Cancelled", "it stopped")
    assert client.get(id_).state is State.CANCELLED
    assert call("cancel", id_).code == 0
    other = client.add("reverse", 2)
    hand.finish(2)
    assert call("cancel", other) == (
        1,
        "",
        f"qmclient: task {other} is done; a task that has ended cannot be cancelled\n",
    )


@pytest.mark.parametrize("verb", ["cancel", "requeue"])
def test_an_unknown_id_is_said_and_the_others_are_changed(
    call: Call, client: Client, hand: Hand, verb: str
) -> None:
    id_ = client.add("reverse", 1)
    if verb == "requeue":
        hand.fail("ValueError", "no")
    said = call(verb, "--id", "nope", "--id", id_, "--id", id_)
    assert (said.code, said.out) == (3, f"{id_}\n")
    assert said.err.startswith("qmclient: there is no task 'nope'\nhint: ")
