"""qmclient get."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from qm.cli import qmclient
from qm.client import Client
from tests.cli.stage import Call, Hand


def done(client: Client, hand: Hand, output: Any, input: Any = "in") -> str:
    id_ = client.add("reverse", input)
    hand.finish(output)
    return id_


@pytest.mark.parametrize(
    ("output", "printed"),
    [
        ("text", "text\n"),
        ("a\x1b[31m\nb", "a\x1b[31m\nb\n"),
        (610, "610\n"),
        (None, "\n"),
        ([1, "x"], '[1, "x"]\n'),
        (3**20_000, None),
    ],
    ids=["text", "control", "number", "nothing", "list", "huge"],
)
def test_in_a_pipe_a_result_stands_alone_and_as_it_is(
    call: Call, client: Client, hand: Hand, output: Any, printed: str | None
) -> None:
    said = call("get", "--id", done(client, hand, output))
    assert (said.code, said.err) == (0, "")
    if printed is None:
        assert int(said.out) == output
    else:
        assert said.out == printed


def test_an_id_may_stand_alone(call: Call, client: Client, hand: Hand) -> None:
    one, two = done(client, hand, "a"), done(client, hand, "b")
    assert call("get", one).out == "a\n"
    assert call("get", one, two, "-o", "id", "--wait", "1").lines == [one, two]


def test_bytes_in_a_pipe_are_those_bytes(
    client: Client, hand: Hand, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert qmclient.main(["get", "--id", done(client, hand, b"\x00\xff\n")]) == 0
    assert capfdbinary.readouterr() == (b"\x00\xff\n", b"")


def test_on_a_terminal_it_says_what_the_original_says(terminal: Call, client: Client, hand: Hand) -> None:
    id_ = done(client, hand, "\x1b[2Joutput", "in\tput")
    said = terminal("get", "-id", id_)
    assert said.out == f"Task ID: {id_}\tType: reverse\tInput: in\\tput\tOutput: \\x1b[2Joutput\n"


def test_one_id_gives_one_object_and_several_a_list(call: Call, client: Client, hand: Hand) -> None:
    one, two = done(client, hand, 2**70), done(client, hand, b"\xff")
    said = call("get", "--id", one, "-o", "json")
    assert (said.json["id"], said.json["output"], said.json["state"]) == (one, 2**70, "done")
    said = call("get", "--id", one, "--id", two, "--json")
    assert [task["output"] for task in said.json] == [2**70, "/w=="]
    assert len(call("get", "--id", one, "--id", two, "-o", "jsonl").lines) == 2
    assert call("get", "--id", one, "--id", two, "-o", "id").lines == [one, two]


def test_several_results_in_a_pipe_are_a_line_each(call: Call, client: Client, hand: Hand) -> None:
    one, two = done(client, hand, "a\tb\nc"), done(client, hand, [1])
    assert call("get", "--id", one, "--id", two).lines == [f"{one}\ta\\tb\\nc", f"{two}\t[1]"]


def test_reading_twice_gives_it_twice(call: Call, client: Client, hand: Hand) -> None:
    id_ = done(client, hand, 1)
    assert call("get", "--id", id_) == call("get", "--id", id_)


def test_a_failed_task_is_an_error_in_words(call: Call, client: Client, hand: Hand) -> None:
    id_ = client.add("reverse", 1)
    hand.fail("ValueError", "no \x1b[2J")
    said = call("get", "--id", id_)
    assert said == (5, "", f"qmclient: task {id_} failed: ValueError: no \\x1b[2J (not retryable)\n")
    said = call("get", "--id", id_, "--json")
    assert said.code == 5
    assert said.json["error"]["message"] == "no \x1b[2J"


def test_a_cancelled_task_is_an_error(call: Call, client: Client) -> None:
    id_ = client.add("reverse", 1)
    client.cancel(id_)
    assert call("get", "--id", id_)[:2] == (5, "")


def test_a_task_that_has_not_ended_is_an_error_of_its_own(call: Call, client: Client, hand: Hand) -> None:
    id_ = client.add("reverse", 1)
    said = call("get", "--id", id_)
    assert said == (
        6,
        "",
        f"qmclient: task {id_} is still waiting\nhint: --wait TIME waits for its end\n",
    )
    said = call("get", "--id", id_, "--wait", "0.01", "--json")
    assert (said.code, said.json["state"], said.err) == (
        6,
        "waiting",
        f"qmclient: task {id_} is still waiting\n",
    )


def test_wait_waits_for_the_end(call: Call, client: Client, hand: Hand) -> None:
    id_ = client.add("reverse", "abc")
    worker = threading.Thread(target=lambda: hand.wait_for_one().finish("cba"))
    worker.start()
    assert call("get", "--id", id_, "--wait", "30") == (0, "cba\n", "")
    worker.join()


def test_an_unknown_id_is_said(call: Call, client: Client) -> None:
    said = call("get", "--id", "no\nsuch")
    assert (said.code, said.out) == (3, "")
    assert said.err.startswith("qmclient: there is no task 'no\\nsuch'\n")


def test_of_several_problems_the_worst_gives_the_code(call: Call, client: Client, hand: Hand) -> None:
    failed, good, waits = client.add("reverse", 1), client.add("reverse", 2), client.add("mail", 3)
    hand.fail("ValueError", "no")
    hand.finish("yes")
    assert call("get", "--id", good, "--id", waits).code == 6
    assert call("get", "--id", good, "--id", waits, "--id", failed).code == 5
    said = call("get", "--id", "nope", "--id", good, "--id", waits, "--id", failed, "--id", "nope")
    assert said.code == 3
    assert said.lines == [f"{good}\tyes"]
    assert said.err.count("nope") == 1
