"""qmclient status."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from qm.client import Client
from qm.task import State
from qm.version import __version__
from tests.cli.stage import Call, Hand


def some_tasks(client: Client, hand: Hand) -> None:
    for delay in (0, 0, 0, 60):
        client.add("reverse", 1, delay=delay)
    client.add("mail", 1)
    hand.finish(1)
    hand.fail("ValueError", "no")
    hand.take()


def test_the_originals_three_numbers_come_first(call: Call, client: Client, hand: Hand) -> None:
    some_tasks(client, hand)
    said = call("status")
    assert said.lines[:4] == ["Wait: 2", "Progress: 1", "Done: 2", ""]
    assert "States: blocked 0, scheduled 1, waiting 1, running 1, done 1, failed 1, cancelled 0" in said.lines
    assert "Type mail: waiting 1" in said.lines
    assert "Type reverse: scheduled 1, running 1, done 1, failed 1" in said.lines
    assert any(line.startswith("Worker here:1: 1 processes since ") for line in said.lines)
    assert f"Manager: {__version__}, store memory" in said.lines
    assert said.err == (
        'hint: tasks of type "mail" wait and no worker serves it; start one with: qmworker '
        "(--load MODULE if it is yours)\n"
    )


def test_without_workers_it_says_so(call: Call, client: Client) -> None:
    assert "Workers: none" in call("status").lines


def test_json_has_the_three_numbers_and_what_they_are_made_of(call: Call, client: Client, hand: Hand) -> None:
    some_tasks(client, hand)
    status = call("status", "-o", "json").json
    assert (status["wait"], status["progress"], status["done"]) == (2, 1, 2)
    assert list(status)[:4] == ["wait", "progress", "done", "states"]
    assert set(status["states"]) == {state.value for state in State}
    assert sum(status["states"].values()) == 5
    assert status["types"]["mail"] == {"waiting": 1}
    assert status["workers"][0]["name"] == "here:1"
    assert status["unserved"] == ["mail"]
    assert len(call("status", "-o", "jsonl").lines) == 1


def test_what_a_status_leaves_out_is_counted(
    call: Call, client: Client, hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    some_tasks(client, hand)
    now = client.status()
    worker = replace(now.workers[0], types=["a", "b"], types_left=3)
    much = replace(
        now,
        workers=[worker],
        workers_left=5,
        types_left=7,
        unserved=[f"t{n}" for n in range(30)],
        unserved_left=9,
    )
    monkeypatch.setattr(Client, "status", lambda self: much)
    said = call("status")
    assert "... and 7 more types" in said.lines
    assert "Workers: the newest 1 of 6" in said.lines
    assert any(line.endswith("serving a, b and 3 more") for line in said.lines)
    assert said.err.count("no worker serves it") == 20
    assert said.err.endswith("hint: so do tasks of 19 more types\n")


def test_it_has_no_ids(call: Call, client: Client) -> None:
    assert call("status", "-o", "id") == (
        2,
        "",
        "qmclient: a status has no ids\nhint: -o text, json or jsonl\n",
    )
