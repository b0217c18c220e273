from __future__ import annotations

import re
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qm.errors import NonRetryable
from qm.operations.arithmetic import DIGITS_MAX, TEXT_MAX, arithmetic
from qm.operations.binding import kind
from qm.payload import pack, unpack


def _as_arithmetic_gives_it(value: Fraction) -> int | float:
    return int(value) if value.denominator == 1 else value.numerator / value.denominator


def _spaced(parts: list[str]) -> st.SearchStrategy[str]:
    blanks = st.sampled_from(["", "", " ", "  ", "\t", "\n"])
    return st.tuples(*([blanks] * (len(parts) + 1))).map(
        lambda between: between[0] + "".join(p + b for p, b in zip(parts, between[1:], strict=True))
    )


NUMBERS = st.from_regex(r"[0-9]{1,6}(\.[0-9]{0,4})?|\.[0-9]{1,4}", fullmatch=True, alphabet=st.characters())
EXPRESSIONS = st.recursive(
    NUMBERS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*/"), inner).flatmap(lambda t: _spaced(list(t))),
        inner.flatmap(lambda text: _spaced(["(", text, ")"])),
        # Never a sign before a sign: Python reads that too, but people do not.
        st.tuples(st.sampled_from("+-"), NUMBERS).flatmap(lambda t: _spaced(list(t))),
    ),
    max_leaves=25,
)


def _by_python(expression: str) -> Fraction:
    """An independent evaluator: Python's own grammar over exact numbers."""
    exact = re.sub(r"[0-9]+\.?[0-9]*|\.[0-9]+", lambda m: f"Fraction('{m[0].rstrip('.')}')", expression)
    result = eval(f"({exact})", {"Fraction": Fraction})
    assert isinstance(result, Fraction)
    return result


@given(EXPRESSIONS)
@example("1 + 9 / 3 * 3")
@example("8 / 2 / 2")
@example("8 - 2 - 2")
@example("-2 * -3 - -1")
@example("2 - (3 - 4) * .5")
@example("0.1 + 0.2")
@example("1 / 0")
def test_it_agrees_with_an_independent_evaluator(expression: str) -> None:
    try:
        expected = _as_arithmetic_gives_it(_by_python(expression))
    except ZeroDivisionError:
        with pytest.raises(NonRetryable, match="division by zero"):
            arithmetic(expression)
    else:
        found = arithmetic(expression)
        assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("( ( 55 + 5 ) + ( 2 * 5 ) )", 70),
        ("5 + 12 / 6 - 7 * 9", -56),
        ("(17 + (8-2) * (5*6))", 197),
    ],
)
def test_the_originals_cases_hold(expression: str, value: int) -> None:
    assert arithmetic(expression) == value


def test_equals_are_computed_from_left_to_right() -> None:
    assert arithmetic("1 + 9 / 3 * 3") == 10
    assert arithmetic("100/10/5") == 2
    assert arithmetic("1-2-3") == -4


@pytest.mark.parametrize(
    ("expression", "value"),
    [("-3", -3), ("--3", 3), ("-+-3", 3), ("2*-3", -6), ("2--3", 5), ("-(1+2)*2", -6), ("-2*3+1", -5)],
)
def test_a_sign_belongs_to_the_value_after_it(expression: str, value: int) -> None:
    assert arithmetic(expression) == value


@pytest.mark.parametrize("expression", ["1/3*3", "0.1+0.2-0.3+1", "1.0", "4/2-1", "1/49*49"])
def test_a_whole_value_is_an_int(expression: str) -> None:
    value = arithmetic(expression)
    assert value == 1
    assert isinstance(value, int)


@pytest.mark.parametrize(
    ("expression", "value"), [("0.1+0.2", 0.3), ("1/3", 1 / 3), (".5", 0.5), ("3./2", 1.5)]
)
def test_any_other_value_is_the_nearest_float(expression: str, value: float) -> None:
    assert arithmetic(expression) == value


def test_a_whole_value_is_exact_at_any_size() -> None:
    assert arithmetic("9" * 600 + "+1") == 10**600
    assert unpack(pack(arithmetic("-" + "9" * DIGITS_MAX))) == -int("9" * DIGITS_MAX)


def test_a_value_too_large_for_a_float_is_refused() -> None:
    with pytest.raises(NonRetryable, match="too large for a float"):
        arithmetic("9" * 400 + "/7")


@pytest.mark.parametrize("expression", ["1/0", "1/(2-2)", "0/0", "5/-0", "1/.0"])
def test_division_by_zero_is_refused(expression: str) -> None:
    with pytest.raises(NonRetryable, match="division by zero"):
        arithmetic(expression)


@pytest.mark.parametrize(
    ("expression", "complaint"),
    [
        ("", "the expression is empty"),
        (" \n", "the expression is empty"),
        ("()", "a number is missing before ')' at position 2"),
        ("(1", "the '(' at position 1 is never closed"),
        ("((1)", "the '(' at position 1 is never closed"),
        ("1)", "a ')' without its '(' at position 2"),
        (")", "a ')' without its '(' at position 1"),
        ("1+", "ends where a number should follow"),
        ("-", "ends where a number should follow"),
        ("(", "ends where a number should follow"),
        ("(1+)", "a number is missing before ')' at position 4"),
        ("*3", "a number is missing before '*' at position 1"),
        ("2**3", "a number is missing before '*' at position 3"),
        ("7//2", "a number is missing before '/' at position 3"),
        ("1 2", "an operator is missing before '2' at position 3"),
        ("1.2.3", "an operator is missing before '.3' at position 4"),
        ("2(3)", "an operator is missing before '(' at position 2"),
        ("(2)3", "an operator is missing before '3' at position 4"),
        ("2^3", "'^' at position 2 is not part of an expression"),
        ("7 % 2", "'%' at position 3 is not part of an expression"),
        ("1e5", "'e' at position 2 is not part of an expression"),
        ("1,5", "',' at position 2 is not part of an expression"),
        (".", "'.' at position 1 is not part of an expression"),
        ("2×3", "'×' at position 2 is not part of an expression"),
        ("٣+1", "'٣' at position 1 is not part of an expression"),
        ("²", "'²' at position 1 is not part of an expression"),
        ("1\u00a0+ 2", "'\\xa0' at position 2 is not part of an expression"),
        ("__import__('os')", "'_' at position 1 is not part of an expression"),
    ],
)
def test_what_is_no_expression_is_refused_with_its_place(expression: str, complaint: str) -> None:
    with pytest.raises(NonRetryable, match=re.escape(complaint)):
        arithmetic(expression)


@pytest.mark.parametrize("value", [None, 5, 1.5, True, ["1+1"], {"expression": "1+1"}, b"1+1"])
def test_what_is_no_text_is_refused(value: object) -> None:
    with pytest.raises(NonRetryable, match=f"needs a text .* got {kind(value)}"):
        arithmetic(value)


@given(st.text(alphabet="0123456789.+-*/() \tx²", max_size=60))
def test_any_text_gives_a_number_or_a_clear_refusal(text: str) -> None:
    try:
        assert isinstance(arithmetic(text), int | float)
    except NonRetryable as refused:
        assert str(refused)


def test_deep_nesting_is_no_danger() -> None:
    deep = 100_000
    assert arithmetic("(" * deep + "1" + ")" * deep) == 1
    assert arithmetic("-(" * 50_000 + "1" + ")" * 50_000) == 1
    assert arithmetic("-" * deep + "1") == 1
    with pytest.raises(NonRetryable):
        arithmetic("(" * deep)
    with pytest.raises(NonRetryable):
        arithmetic("1+(" * 80_000)


def test_a_text_beyond_the_limit_is_refused() -> None:
    assert arithmetic(" " * (TEXT_MAX - 1) + "1") == 1
    with pytest.raises(NonRetryable, match="limit is 250,000"):
        arithmetic(" " * TEXT_MAX + "1")


@pytest.mark.parametrize(
    "expression",
    [
        "9" * (DIGITS_MAX + 1),
        "." + "9" * DIGITS_MAX,
        "*".join(["9" * 100] * 43),
        "1" + "/99999" * 900,
        "+".join(f"1/{n}" for n in range(1, 20_000)),
    ],
    ids=["digits", "decimals", "product", "quotient", "harmonic sum"],
)
def test_numbers_cannot_grow_without_bound(expression: str) -> None:
    with pytest.raises(NonRetryable, match="4,200 digits"):
        arithmetic(expression)
