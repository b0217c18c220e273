"""The original's flags."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qm.cli.flags import ORIGINAL, to_gnu
from qm.errors import BadRequest


@pytest.mark.parametrize("name", ORIGINAL)
def test_an_original_flag_becomes_a_gnu_one(name: str) -> None:
    assert to_gnu([f"-{name}", "x"]) == [f"--{name}", "x"]
    assert to_gnu([f"-{name}=x"]) == [f"--{name}=x"]


def test_a_gnu_flag_stays() -> None:
    words = ["add", "--type", "fibonacci", "--input=15", "-o", "json", "-vv"]
    assert to_gnu(words) == words


def test_a_value_stays_even_if_it_looks_like_a_flag() -> None:
    assert to_gnu(["-input", "-id", "-type", "-5"]) == ["--input", "-id", "--type", "-5"]
    assert to_gnu(["--input", "-type"]) == ["--input", "-type"]
    assert to_gnu(["-input=a=-id"]) == ["--input=a=-id"]


def test_nothing_changes_after_two_dashes() -> None:
    assert to_gnu(["-id", "x", "--", "-id", "x"]) == ["--id", "x", "--", "-id", "x"]


def test_a_last_flag_without_its_value_stays_without() -> None:
    assert to_gnu(["get", "-id"]) == ["get", "--id"]


@pytest.mark.parametrize("words", [["--authkey", "secret"], ["--authkey=secret"], ["--auth", "secret"]])
def test_a_key_is_refused_and_not_repeated(words: list[str]) -> None:
    """docopt would take it for the beginning of --authkey-file, and make a file of that name."""
    with pytest.raises(BadRequest, match="never on the command line") as caught:
        to_gnu(["status", *words])
    assert "secret" not in str(caught.value)
    assert "--authkey-file FILE" in (caught.value.hint or "")
    assert to_gnu(["--authkey-file", "key", "--input", "--authkey"]) == [
        "--authkey-file", "key", "--input", "--authkey",
    ]  # fmt: skip


@given(st.lists(st.sampled_from(["-id", "--id", "-type=x", "--input", "--", "x", "-o", "-5", "-v"])))
def test_saying_it_twice_changes_nothing(words: list[str]) -> None:
    once = to_gnu(words)
    assert len(once) == len(words)
    assert to_gnu(once) == once
