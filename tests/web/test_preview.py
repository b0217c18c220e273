"""Payloads that nobody vouches for."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qm.limits import PREVIEW_MAX
from qm.payload import pack, wrap
from qm.task import PackedTask, State
from qm.web.preview import DEPTH_MAX, is_deep, show_input, show_outcome

plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
values = st.recursive(
    plain,
    lambda inner: st.lists(inner, max_size=40) | st.dictionaries(st.text(), inner, max_size=20),
    max_leaves=60,
)


def task(state: State = State.DONE, **fields: Any) -> PackedTask:
    return PackedTask(**{"id": "a", "type": "work", "input": b"", "state": state, **fields})


def depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)
    return 0


def nonempty_depth(value: Any) -> int:
    """As `depth`, without counting empty ones: they need no recursion."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(nonempty_depth, inner)) if inner else 0


@given(values)
def test_the_depth_is_known_before_anything_is_decoded(value: Any) -> None:
    packed = pack(value)
    assert is_deep(packed, nonempty_depth(value)) is False
    if nonempty_depth(value):
        assert is_deep(packed, nonempty_depth(value) - 1) is True


@pytest.mark.parametrize(
    "value",
    [
        [[0] * 15, [0] * 16, [0] * 70_000, [[]]],
        {str(n): n for n in range(16)} | {"deep": {str(n): [n] for n in range(70_000)}},
        ["x" * 31, "x" * 32, "x" * 300, "x" * 70_000, b"x", b"x" * 300, b"x" * 70_000, [[]]],
        [0, -1, -32, -33, 128, 2**8, 2**16, 2**32, -(2**7), -(2**15), -(2**31), -(2**63), 1.5, [[]]],
        [msgspec.msgpack.Ext(5, b"x" * size) for size in (0, 1, 2, 3, 4, 8, 16, 17, 300, 70_000)] + [[[1]]],
    ],
)
def test_every_form_of_msgpack_is_stepped_over(value: Any) -> None:
    deeper = [value, [[[[1]]]]]
    assert is_deep(msgspec.msgpack.encode(deeper), 5) is False
    assert is_deep(msgspec.msgpack.encode(deeper), 4) is True


@given(st.binary(max_size=200), st.binary(max_size=200), st.sampled_from(State))
def test_no_bytes_can_stop_the_page(input: bytes, other: bytes, state: State) -> None:
    shown = task(state, input=input, output=other, error=other, input_size=len(input), output_size=len(other))
    assert isinstance(show_input(shown), str)
    assert isinstance(show_outcome(shown), str)


def nested(levels: int) -> bytes:
    return b"\x91" * levels + b"\xc0"


def test_deep_values_are_not_decoded() -> None:
    assert show_input(task(input=nested(DEPTH_MAX))) == "[[[[[...]]]]]"
    assert show_input(task(input=nested(DEPTH_MAX + 1))) == "0x" + "91" * 16 + "…"
    assert show_outcome(task(State.FAILED, error=nested(4000))) == "failed: 0x" + "91" * 16 + "…"


def test_what_is_sealed_is_said_and_not_read() -> None:
    sealed = wrap(bytes(200))
    assert show_input(task(input=sealed, input_size=203)) == "sealed (203 bytes)"
    assert show_outcome(task(output=sealed, output_size=203)) == "sealed (203 bytes)"
    failed = task(State.FAILED, error=sealed, reason="failed 5 times")
    assert show_outcome(failed) == "failed: sealed (203 bytes) (failed 5 times)"


def test_a_foreign_extension_is_shown_by_its_code() -> None:
    packed = pack([msgspec.msgpack.Ext(5, b"abc")])
    assert show_input(task(input=packed, input_size=len(packed))) == "[Ext(5, 3 bytes)]"


def test_what_a_list_left_out_is_told_by_its_size() -> None:
    assert show_input(task(input=b"", input_size=5000)) == "(5,000 bytes)"
    assert show_outcome(task(output=None, output_size=1_000_000)) == "(1,000,000 bytes)"
    assert show_input(task(input=b"x" * (PREVIEW_MAX + 1))) == f"({PREVIEW_MAX + 1:,} bytes)"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("15", "15"),
        (15, "15"),
        (None, "None"),
        (2**70, "1180591620717411303424"),
        ([1, "a", None], "[1, 'a', None]"),
        ({"b": 1, "a": [1.5]}, "{'a': [1.5], 'b': 1}"),
        (list(range(20)), "[0, 1, 2, 3, 4, 5, 6, 7, ...]"),
        (b"\x00\x01", "b'\\x00\\x01'"),
    ],
)
def test_values_are_shown_as_python_has_them(value: Any, shown: str) -> None:
    packed = pack(value)
    assert show_input(task(input=packed, input_size=len(packed))) == shown


def test_an_integer_too_long_for_digits_is_shown_by_its_bytes() -> None:
    packed = pack(2**32_000)
    assert show_input(task(input=packed, input_size=len(packed))).startswith("0xc8")


def test_a_task_without_result_says_why() -> None:
    assert show_outcome(task(State.CANCELLED)) == "cancelled"
    crashed = task(State.FAILED, reason="crashed 3 times: SIGSEGV")
    assert show_outcome(crashed) == "failed: crashed 3 times: SIGSEGV"
