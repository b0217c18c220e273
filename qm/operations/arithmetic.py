"""arithmetic: the value of an expression like ``(17 + (8-2) * (5*6))``, computed exactly.

Dijkstra's shunting yard: two stacks instead of recursion, so that no depth of parentheses can exhaust the
interpreter's own stack.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Final

from qm.errors import NonRetryable
from qm.operations.binding import kind
from qm.operations.registry import Operations

ops = Operations()

#: Characters of an expression: a second of work at worst.
TEXT_MAX: Final = 250_000

#: Bits of a number's numerator or denominator on the way, and digits of one in the text. Python does not
#: print integers of more than 4,300 digits (14,284 bits); and unbounded, a long product would take long.
BITS_MAX: Final = 14_000
DIGITS_MAX: Final = 4_200

#: [0-9] and not \d, which is any digit of any script.
_TOKEN: Final = re.compile(r"[0-9]+\.?[0-9]*|\.[0-9]+|[-+*/()]|\s+|(?P<strange>.)", re.ASCII)

_NEGATE: Final = "negate"
_RANK: Final = {"(": 0, "+": 1, "-": 1, "*": 2, "/": 2, _NEGATE: 3}


@ops.operation("arithmetic")
def arithmetic(expression: object) -> int | float:
    """The value of `expression`: numbers like ``2``, ``1.5`` or ``.5``, ``+ - * /``, parentheses and signs.

    An int where the exact value is whole, else the float nearest to it.
    """
    if not isinstance(expression, str):
        raise NonRetryable(f"arithmetic needs a text like '1 + 2', got {kind(expression)}")
    if len(expression) > TEXT_MAX:
        raise NonRetryable(f"the expression has {len(expression):,} characters, the limit is {TEXT_MAX:,}")
    value = _evaluate(expression)
    if value.denominator == 1:
        return value.numerator
    try:
        return float(value)
    except OverflowError:
        raise NonRetryable("the result is not whole and too large for a float") from None


def _evaluate(expression: str) -> Fraction:
    yard = _Yard()
    for token, position in _tokens(expression):
        if token[0] in ".0123456789":
            yard.number(token, position)
        elif token == "(":
            yard.open(position)
        elif token == ")":
            yard.close(position)
        else:
            yard.operator(token, position)
    return yard.result()


def _tokens(expression: str) -> Iterator[tuple[str, int]]:
    """The tokens of `expression` and where they stand, counted from 1."""
    for match in _TOKEN.finditer(expression):
        position = match.start() + 1
        if match["strange"]:
            raise NonRetryable(f"{match[0]!r} at position {position} is not part of an expression")
        if not match[0].isspace():
            yield match[0], position


class _Yard:
    """The stacks: values, what waits for its right-hand side, and where its open parentheses stand."""

    def __init__(self) -> None:
        self._values: list[Fraction] = []
        self._waiting: list[str] = []
        self._opened: list[int] = []
        #: Whether what was read last is a complete value; it decides what may follow, and what a minus means.
        self._complete = False

    def number(self, digits: str, position: int) -> None:
        self._demand(not self._complete, f"an operator is missing before {digits[:40]!r}", position)
        self._demand(len(digits) <= DIGITS_MAX, f"a number has more than {DIGITS_MAX:,} digits", position)
        whole, _, part = digits.partition(".")
        self._values.append(Fraction(int(whole + part), 10 ** len(part)))
        self._complete = True

    def open(self, position: int) -> None:
        self._demand(not self._complete, "an operator is missing before '('", position)
        self._waiting.append("(")
        self._opened.append(position)

    def close(self, position: int) -> None:
        self._demand(bool(self._opened), "a ')' without its '('", position)
        self._demand(self._complete, "a number is missing before ')'", position)
        self._apply(rank=1)
        self._waiting.pop()
        self._opened.pop()

    def operator(self, sign: str, position: int) -> None:
        if self._complete:
            self._apply(_RANK[sign])
            self._waiting.append(sign)
            self._complete = False
        elif sign == "-":
            self._waiting.append(_NEGATE)
        else:  # a plus in front of a value changes nothing
            self._demand(sign == "+", f"a number is missing before {sign!r}", position)

    def result(self) -> Fraction:
        if not self._complete:
            raise NonRetryable(
                "the expression ends where a number should follow"
                if self._values or self._waiting
                else "the expression is empty"
            )
        self._apply(rank=1)
        if self._opened:
            raise NonRetryable(f"the '(' at position {self._opened[-1]} is never closed")
        return self._values[0]

    def _apply(self, rank: int) -> None:
        """Computes what binds at least as tightly as `rank`, from the right: so equals go left to right."""
        while self._waiting and _RANK[self._waiting[-1]] >= rank:
            operator, right = self._waiting.pop(), self._values.pop()
            value = -right if operator == _NEGATE else _compute(self._values.pop(), operator, right)
            if max(value.numerator.bit_length(), value.denominator.bit_length()) > BITS_MAX:
                raise NonRetryable(f"a number on the way needs more than {DIGITS_MAX:,} digits")
            self._values.append(value)

    @staticmethod
    def _demand(fits: bool, complaint: str, position: int) -> None:
        if not fits:
            raise NonRetryable(f"{complaint} at position {position}")


def _compute(left: Fraction, operator: str, right: Fraction) -> Fraction:
    match operator:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
    if not right:
        raise NonRetryable("division by zero")
    return left / right
