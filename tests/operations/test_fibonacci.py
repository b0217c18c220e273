from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qm.errors import NonRetryable
from qm.operations.binding import kind
from qm.operations.fibonacci import N_MAX, fibonacci
from qm.payload import pack, unpack


def _naive(n: int) -> int:
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a


def test_the_originals_case_holds() -> None:
    assert fibonacci(20) == 6765


@given(st.integers(0, 2000))
def test_it_is_exact(n: int) -> None:
    assert fibonacci(n) == fibonacci(str(n)) == _naive(n)


def test_it_is_exact_at_its_limit() -> None:
    assert fibonacci(N_MAX) == _naive(N_MAX)


def test_every_result_can_be_printed_and_carried() -> None:
    assert len(str(fibonacci(N_MAX))) <= sys.int_info.default_max_str_digits
    assert unpack(pack(fibonacci(N_MAX))) == fibonacci(N_MAX)


@pytest.mark.parametrize("text", ["20", " 20\n", "+20", "0020"])
def test_a_text_of_a_number_is_a_number(text: str) -> None:
    assert fibonacci(text) == 6765


@pytest.mark.parametrize("n", [0, "0", "-0", "00"])
def test_it_begins_with_zero(n: object) -> None:
    assert fibonacci(n) == 0


@pytest.mark.parametrize("n", [-1, "-1", pytest.param(-(10**5000), id="huge")])
def test_a_negative_number_is_refused(n: object) -> None:
    with pytest.raises(NonRetryable, match="at least 0"):
        fibonacci(n)


@pytest.mark.parametrize("n", [N_MAX + 1, str(N_MAX + 1), "9" * 100, pytest.param(10**5000, id="huge")])
def test_a_number_beyond_the_limit_is_refused(n: object) -> None:
    with pytest.raises(NonRetryable, match="up to n = 20,000"):
        fibonacci(n)


@pytest.mark.parametrize("n", [None, True, False, 20.0, 2.5, float("nan"), [20], {"n": 20}, b"20"])
def test_what_is_no_whole_number_is_refused(n: object) -> None:
    with pytest.raises(NonRetryable, match=f"whole number.* got {kind(n)}"):
        fibonacci(n)


@pytest.mark.parametrize(
    "text", ["", " ", "twenty", "20.0", "2e1", "2 0", "2_0", "0x14", "٢٠", "--20", "20\x00", "\u00a020"]
)
def test_a_text_of_anything_else_is_refused(text: str) -> None:
    with pytest.raises(NonRetryable, match="whole number, got the text"):
        fibonacci(text)


def test_a_long_text_is_refused_without_repeating_it() -> None:
    with pytest.raises(NonRetryable) as refused:
        fibonacci("0" * 1_000_000 + "1")
    assert len(str(refused.value)) < 200
