"""Tasks and values as text."""

from __future__ import annotations

import base64
import json
import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.msgpack import Ext

from qm.cli.rendering import bare, cell, fields_of, original_line, to_json
from qm.errors import BadPayload
from qm.payload import pack, unpack
from qm.task import Failure, State, Task
from tests.poison import CARRIED

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)

DANGEROUS = "\x00\x07\x1b\x7f\x9b\x85\u2028\u2029\u202e\u2066"


def safe(text: str) -> bool:
    """Whether a terminal can only show it."""
    return not set(text) & {*map(chr, range(32)), *map(chr, range(127, 160)), *DANGEROUS}


@given(VALUES)
def test_json_is_the_value_exactly(value: Any) -> None:
    assert json.loads(to_json(value)) == value
    assert json.loads(to_json(value, indent=2)) == value


@given(VALUES)
def test_json_in_one_line_can_be_shown_on_a_terminal(value: Any) -> None:
    assert safe(to_json(value))


@pytest.mark.parametrize("number", [2**53 + 1, -(2**63) - 1, 2**64, 7**5000])
def test_integers_of_any_size_stay_exact(number: int) -> None:
    assert json.loads(to_json(unpack(pack({"n": number})))) == {"n": number}


@pytest.mark.parametrize("value", CARRIED.values(), ids=CARRIED)
def test_whatever_a_task_can_carry_can_be_printed(value: Any) -> None:
    json.loads(to_json(value))
    assert safe(cell(value))


def test_an_extension_is_its_code_and_its_bytes() -> None:
    assert json.loads(to_json([Ext(5, b"\xff")])) == [{"extension": 5, "data": "/w=="}]


def test_what_json_does_not_have_is_said_in_text() -> None:
    assert json.loads(to_json([math.nan, math.inf, -math.inf])) == ["NaN", "Infinity", "-Infinity"]
    assert json.loads(to_json(b"\x00\xff")) == base64.b64encode(b"\x00\xff").decode()
    assert json.loads(to_json(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))) == "2026-01-02T03:04:05+00:00"
    assert json.loads(to_json({1: "a", None: "b", False: "c", b"k": "d", 1.5: "e"})) == {
        "1": "a",
        "null": "b",
        "false": "c",
        base64.b64encode(b"k").decode(): "d",
        "1.5": "e",
    }


def test_a_value_nested_without_end_is_refused_in_words() -> None:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(BadPayload, match="nested too deeply"):
        to_json(value)


@given(st.text())
def test_a_bare_text_is_the_text(text: str) -> None:
    assert bare(text) == text


def test_bare_values_are_json_and_nothing_is_nothing() -> None:
    assert bare(None) == ""
    assert bare(15) == "15"
    assert bare(True) == "true"
    assert bare({"a": [1, "x"]}) == '{"a": [1, "x"]}'


@given(st.text(alphabet=st.sampled_from("ab\\\t\n\r\x1b é\u202e") | st.characters()))
def test_a_cell_is_one_field_of_one_line(text: str) -> None:
    assert safe(cell(text))


@given(st.text(alphabet="ab\\\t\n\rtn"))
def test_a_cell_can_be_read_back(text: str) -> None:
    found = cell(text).encode().decode("unicode_escape")
    assert found == text


def test_a_task_is_printed_as_the_original_does() -> None:
    task: Task = Task(id="t-1", type="fibonacci", input=15, output=610, state=State.DONE)
    assert original_line(task) == "Task ID: t-1\tType: fibonacci\tInput: 15\tOutput: 610"
    task = Task(id="t-1", type="x", input="a\tb\nTask ID: t-2", output="\x1b[2J")
    assert original_line(task) == "Task ID: t-1\tType: x\tInput: a\\tb\\nTask ID: t-2\tOutput: \\x1b[2J"


def test_the_fields_of_a_task_have_the_names_of_the_struct_and_are_all_there() -> None:
    task = Task(id="t", type="x", input=1, error=Failure("ValueError", "no", "trace"), state=State.FAILED)
    fields = json.loads(to_json(fields_of(task)))
    assert list(fields) == list(Task.__struct_fields__)
    assert fields["error"] == {"type": "ValueError", "message": "no", "traceback": "trace"}
    assert fields["state"] == "failed"
    assert fields["output"] is None
