"""qmclient list."""

from __future__ import annotations

import json

import pytest

from qm.cli.commands.listing import COLUMNS
from qm.client import Client
from qm.client.tasks import new_task
from tests.cli.stage import Call, Hand


def test_in_a_pipe_a_task_is_a_line_of_columns(call: Call, client: Client, hand: Hand) -> None:
    client.add("reverse", "a\tb\nc", id="one")
    client.add("reverse", {"k": [1]}, id="two")
    hand.finish("x")
    hand.fail("ValueError", "no\tgood")
    lines = [dict(zip(COLUMNS, line.split("\t"), strict=True)) for line in call("list").lines]
    assert [line["id"] for line in lines] == ["two", "one"], "ended ones, newest first"
    failed, done = lines
    assert (done["type"], done["state"], done["attempt"]) == ("reverse", "done", "1")
    assert (done["input"], done["output"], done["error"]) == ("a\\tb\\nc", "x", "")
    assert (failed["input"], failed["output"]) == ('{"k": [1]}', "")
    assert failed["error"] == "ValueError: no\\tgood"
    assert float(failed["ended"]) >= float(failed["added"])


def test_states_and_types_choose(call: Call, client: Client, hand: Hand) -> None:
    for id_ in ("one", "two", "three"):
        client.add("reverse", 1, id=id_)
    client.add("mail", 1, id="mail")
    hand.finish(1)
    hand.take()

    def ids(*words: str) -> set[str]:
        return set(call("list", "-o", "id", *words).lines)

    assert ids() == {"one", "two", "three", "mail"}
    assert ids("--state", "done") == {"one"}
    assert ids("--state", "running", "--state", "done") == {"one", "two"}
    assert ids("--state", "waiting", "-type", "mail") == {"mail"}
    assert ids("--type", "nobody") == set()


def test_an_unknown_state_is_refused_with_all_there_are(call: Call, client: Client) -> None:
    assert call("list", "--state", "ready") == (
        2,
        "",
        "qmclient: 'ready' is not a state\n"
        "hint: one of blocked, scheduled, waiting, running, done, failed, cancelled\n",
    )


def test_it_says_that_there_are_more(call: Call, client: Client) -> None:
    client.add_many(new_task("reverse", n, id=f"t-{n:04}") for n in range(1100))
    said = call("list", "-o", "id")
    assert len(said.lines) == 50
    assert said.err == "hint: there are more than 50; --limit 0 lists all\n"
    for limit, found in ((1, 1), (500, 500), (501, 501), (1099, 1099)):
        said = call("list", "-o", "id", "--limit", str(limit))
        assert said.lines == [f"t-{n:04}" for n in range(found)]
        assert said.err == f"hint: there are more than {limit}; --limit 0 lists all\n"
    for limit in (1100, 5000, 0):
        said = call("list", "-o", "id", "--limit", str(limit))
        assert (len(said.lines), said.err) == (1100, "")
    assert call("list", "--limit", "-1").code == 2


def test_json_is_a_document_and_jsonl_a_line_each(call: Call, client: Client) -> None:
    assert call("list", "-o", "json").json == []
    client.add("mail", 2**70, id="a")
    client.add("mail", None, id="b")
    assert [task["input"] for task in call("list", "--json").json] == [2**70, None]
    assert [json.loads(line)["id"] for line in call("list", "-o", "jsonl").lines] == ["a", "b"]


def test_text_in_a_pipe_is_the_same_lines(call: Call, client: Client) -> None:
    client.add("mail", 1)
    assert call("list", "-o", "text") == call("list")


def test_on_a_terminal_it_is_a_table(
    terminal: Call, client: Client, hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    client.add("reverse", "in\x1b[2J", id="one")
    client.add("reverse", "x" * 5000, id="two")
    client.add("reverse", 1, id="three")
    client.add("reverse", 1, id="four")
    hand.finish("out\n")
    hand.finish("y" * 5000)
    hand.fail("ValueError", "no")
    client.progress(hand.take(), 0.5, "half")
    head, *rows = terminal("list").lines
    assert head.split() == ["ID", "TYPE", "STATE", "ADDED", "INPUT", "RESULT"]
    found = {row.split()[0]: row for row in rows}
    assert "in\\x1b[2J" in found["one"] and found["one"].endswith("out\\n")
    assert "(5,003 bytes)" in found["two"]
    assert found["three"].endswith("ValueError: no")
    assert found["four"].endswith("50% half")
    assert all(len(row) <= 120 for row in rows)
