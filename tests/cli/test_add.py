"""qmclient add."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from qm.client import Client
from qm.ids import new_id
from qm.limits import ADD_CHUNK
from qm.task import State
from tests.cli.stage import Call, Hand, Stdin

HINT = 'hint: no worker serves "mail" now; start one with: qmworker (--load MODULE if it is yours)\n'


def only(client: Client) -> Any:
    (task,) = client.list().tasks
    return task


def test_an_added_id_stands_alone_in_a_pipe(call: Call, client: Client, hand: Hand) -> None:
    said = call("add", "--type", "fibonacci", "--input", "15")
    assert said == (0, f"{only(client).id}\n", "")


def test_on_a_terminal_it_says_what_the_original_says(terminal: Call, client: Client, hand: Hand) -> None:
    said = terminal("add", "--type", "fibonacci", "--input", "15")
    assert said.out == f"Task ID result: {only(client).id}\n"


def test_the_originals_flags_work(call: Call, client: Client, hand: Hand) -> None:
    assert call("add", "-type", "fibonacci", "-input=15", "-id", "t-1").out == "t-1\n"
    assert (only(client).type, only(client).input) == ("fibonacci", "15")


@pytest.mark.parametrize(
    ("format_", "out"),
    [
        (["-o", "id"], "t-1\n"),
        (["-o", "text"], "Task ID result: t-1\n"),
        (["-o", "json"], '{\n  "id": "t-1",\n  "type": "reverse"\n}\n'),
        (["--json"], '{\n  "id": "t-1",\n  "type": "reverse"\n}\n'),
        (["-o", "jsonl"], '{"id": "t-1", "type": "reverse"}\n'),
    ],
)
def test_it_prints_the_id_in_every_format(call: Call, hand: Hand, format_: list[str], out: str) -> None:
    assert call("add", "--type", "reverse", "--id", "t-1", *format_).out == out


def test_the_options_reach_the_task(call: Call, client: Client) -> None:
    call("add", "--type", "mail", "--priority", "-7", "--in", "2m", "--attempts", "3")
    task = only(client)
    assert (task.priority, task.attempts, task.state) == (-7, 3, State.SCHEDULED)
    assert task.due == pytest.approx(task.added + 120)


def test_a_text_stays_the_text_it_is(call: Call, client: Client) -> None:
    for text in ("15", "", "-5", "-id", "[1]", "ü\t\x1b", " a b "):
        id_ = new_id()
        call("add", "--type", "mail", "--id", id_, "--input", text)
        assert client.get(id_).input == text


def test_json_can_be_any_value(call: Call, client: Client) -> None:
    for value in (15, None, [1, {"a": "ü"}], 7**400, 1.5, "15"):
        id_ = new_id()
        call("add", "--type", "mail", "--id", id_, "--input-json", json.dumps(value))
        assert client.get(id_).input == value


def test_without_an_input_it_is_nothing(call: Call, client: Client) -> None:
    call("add", "--type", "mail")
    assert only(client).input is None


def test_a_dash_reads_stdin_without_its_last_lines_end(call: Call, client: Client, stdin: Stdin) -> None:
    stdin(b"two\nlines\n")
    call("add", "--type", "mail", "--id", "a", "--input", "-")
    assert client.get("a").input == "two\nlines"
    stdin(b'{"a": 1}\n')
    call("add", "--type", "mail", "--id", "b", "--input-json", "-")
    assert client.get("b").input == {"a": 1}


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--input-json", "{"], "--input-json: Input data was truncated"),
        (["--input", "\udcff"], "--input is not UTF-8"),
        (["--priority", "high"], "--priority is a whole number, not 'high'"),
        (["--priority", "40000"], "priority"),
        (["--in", "tomorrow"], "--in is a time, not 'tomorrow'"),
        (["--id", "no blanks"], "'no blanks' cannot be an id"),
        (["--input", "a", "--input-json", "1"], "these arguments do not fit the usage"),
        (["--attempts", "0"], "attempts"),
        (["-o", "xml"], "-o is one of text, json, jsonl, id, not 'xml'"),
        (["--json", "-o", "text"], "--json is -o json; -o text is something else"),
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_added(
    call: Call, client: Client, words: list[str], complaint: str
) -> None:
    said = call("add", "--type", "mail", *words)
    assert said.code == 2
    assert said.out == ""
    assert complaint in said.err
    assert client.list().tasks == []


def test_stdin_that_is_not_utf8_is_refused(call: Call, client: Client, stdin: Stdin) -> None:
    stdin(b"a\xff")
    said = call("add", "--type", "mail", "--input", "-")
    assert (said.code, said.err) == (2, "qmclient: --input: stdin is not UTF-8 (byte 1)\n")


def test_the_same_id_again_is_the_same_task(call: Call, client: Client) -> None:
    assert call("add", "--type", "mail", "--id", "order-42").code == 0
    assert call("add", "--type", "mail", "--id", "order-42").code == 0
    said = call("add", "--type", "mail", "--id", "order-42", "--input", "other")
    assert said.code == 1
    assert "id 'order-42' belongs to a task with another type or input" in said.err
    assert only(client).input is None


def test_a_type_that_no_worker_serves_is_hinted_at(call: Call, hand: Hand) -> None:
    assert call("add", "--type", "mail", "--input", "x").err == HINT
    assert call("add", "--type", "reverse", "--input", "x").err == ""


def test_with_wait_it_prints_the_result(call: Call, hand: Hand) -> None:
    worker = threading.Thread(target=lambda: hand.wait_for_one().finish(610))
    worker.start()
    said = call("add", "--type", "fibonacci", "--input", "15", "--wait", "30")
    worker.join()
    assert said == (0, "610\n", "")


def test_a_wait_that_was_too_short_names_the_task(call: Call, client: Client, hand: Hand) -> None:
    said = call("add", "--type", "fibonacci", "--wait", "0")
    assert (said.code, said.out) == (6, "")
    assert said.err.startswith(f"qmclient: task {only(client).id} is still waiting\n")


def test_a_wait_that_is_cut_short_names_the_task(
    call: Call, client: Client, hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Client, "get_many", interrupted)
    said = call("add", "--type", "fibonacci", "--wait", "30")
    assert said.code == 130
    assert (
        said.err == f"hint: the task was added; its result: qmclient get --id {only(client).id} --wait 60\n"
    )


class TestFile:
    """add --file"""

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        return tmp_path / "tasks.jsonl"

    def test_every_line_becomes_a_task_and_prints_its_id(
        self, call: Call, client: Client, path: Path
    ) -> None:
        path.write_text(
            '{"type": "mail", "input": 1, "id": "a"}\n\n{"type": "mail", "input": 2, "id": "b"}\n'
        )
        assert call("add", "--file", str(path)) == (0, "a\nb\n", HINT)
        assert [client.get(id_).input for id_ in "ab"] == [1, 2]

    def test_on_a_terminal_it_says_how_many(self, terminal: Call, hand: Hand, path: Path) -> None:
        path.write_text('{"type": "reverse"}\n' * 1200)
        assert terminal("add", "--file", str(path)) == (0, "1,200 tasks added\n", "")

    def test_json_is_a_list_even_of_one(self, call: Call, hand: Hand, path: Path) -> None:
        path.write_text('{"type": "reverse", "id": "a"}')
        assert call("add", "--file", str(path), "-o", "json").json == [{"id": "a", "type": "reverse"}]

    def test_a_dash_is_stdin(self, call: Call, hand: Hand, stdin: Stdin) -> None:
        stdin(b'{"type": "reverse", "id": "a"}\n')
        assert call("add", "-o", "jsonl", "--file", "-").out == '{"id": "a", "type": "reverse"}\n'
        stdin(b'{"type": "reverse", "id": "b"}\n{\n')
        assert call("add", "--file", "-").err.startswith("qmclient: 1 task added, up to line 1 of stdin\n")

    def test_what_stands_before_a_bad_line_is_added_and_said(
        self, call: Call, client: Client, hand: Hand, path: Path
    ) -> None:
        path.write_text('{"type": "reverse", "id": "a"}\n' + "{\n" + '{"type": "reverse", "id": "c"}\n')
        said = call("add", "--file", str(path))
        assert said == (
            2,
            "a\n",
            f"qmclient: 1 task added, up to line 1 of {path}\n"
            f"qmclient: {path} line 2: Input data was truncated\n",
        )
        assert only(client).id == "a"

    def test_a_conflict_says_how_far_it_came(
        self, call: Call, client: Client, hand: Hand, path: Path
    ) -> None:
        client.add("reverse", 1, id="taken")
        path.write_text(
            '{"type": "reverse"}\n' * ADD_CHUNK + '{"type": "reverse", "input": 2, "id": "taken"}\n'
        )
        said = call("add", "--file", str(path))
        assert said.code == 1
        assert len(said.lines) == ADD_CHUNK
        assert f"qmclient: {ADD_CHUNK} tasks added, up to line {ADD_CHUNK} of {path}\n" in said.err
        assert "hint: some of the lines after it may have been added too" in said.err
        assert "qmclient: id 'taken' belongs to a task with another type or input\n" in said.err

    def test_with_wait_it_prints_every_result(
        self, call: Call, client: Client, hand: Hand, path: Path
    ) -> None:
        path.write_text('{"type": "reverse", "id": "a"}\n{"type": "reverse", "id": "b"}\n')
        call("add", "--file", str(path))
        hand.finish("x")
        hand.finish({"y": 1})
        assert call("add", "--file", str(path), "--wait", "30").out == 'a\tx\nb\t{"y": 1}\n'

    def test_an_empty_file_adds_nothing(self, call: Call, client: Client, path: Path) -> None:
        path.touch()
        assert call("add", "--file", str(path)) == (0, "", "")

    def test_a_file_that_is_not_there_is_said(self, call: Call, manager: object, path: Path) -> None:
        assert (
            call("add", "--file", str(path)).err
            == f"qmclient: cannot read {path}: No such file or directory\n"
        )
