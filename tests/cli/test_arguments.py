"""Words of the command line as values."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qm.cli.arguments import Arguments, seconds
from qm.errors import BadRequest


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", 0), ("10", 10), ("0.5", 0.5), (".5", 0.5), ("10s", 10), ("5m", 300), ("2h", 7200), ("1d", 86400)],
)
def test_a_time_is_in_seconds_or_has_a_unit(text: str, value: float) -> None:
    assert seconds(text, "--in") == value


@pytest.mark.parametrize("text", ["", "s", "-1", "1w", "1 s", "1e3", "nan", "inf", "1.2.3", "٣"])
def test_what_is_no_time_is_refused_by_the_name_of_its_flag(text: str) -> None:
    with pytest.raises(BadRequest, match="--in is a time"):
        seconds(text, "--in")


@given(st.integers(-(10**17), 10**17))
def test_a_whole_number_is_read_exactly(number: int) -> None:
    assert Arguments({"--priority": str(number)}).whole("--priority") == number


@pytest.mark.parametrize("text", ["", "1.0", "x", "1_000", " 1", "٣", "9" * 5000])
def test_what_is_no_whole_number_is_refused_by_the_name_of_its_flag(text: str) -> None:
    with pytest.raises(BadRequest, match="--priority is a whole number"):
        Arguments({"--priority": text}).whole("--priority")


def test_an_option_left_out_is_nothing() -> None:
    left_out = Arguments({"--id": [], "--rpc": None, "-v": 0})
    assert left_out.text("--rpc") is None
    assert left_out.text("--id") is None
    assert left_out.texts("--rpc") == []
    assert left_out.whole("--rpc") is None
    assert left_out.seconds("--rpc") is None
    assert left_out.path("--rpc") is None
    assert left_out.count("-v") == 0
    assert not left_out.has("get")


def test_an_option_given_twice_is_the_last_one() -> None:
    arguments = Arguments({"--id": ["a", "b"], "--load": "m", "--authkey-file": "key", "-v": 2, "get": True})
    assert arguments.texts("--id") == ["a", "b"]
    assert arguments.text("--id") == "b"
    assert arguments.texts("--load") == ["m"]
    assert arguments.path("--authkey-file") == Path("key")
    assert arguments.count("-v") == 2
    assert arguments.has("get")


def test_a_word_that_is_none_of_those_possible_is_refused_with_them() -> None:
    assert Arguments({"-o": "json"}).one_of("-o", ("text", "json")) == "json"
    with pytest.raises(BadRequest, match="-o is one of text, json, not 'xml'"):
        Arguments({"-o": "xml"}).one_of("-o", ("text", "json"))
