"""Random arithmetic: trees of exact fractions, and the texts that mean them.

The value is computed on the tree and the text is written from it. Nothing here reads a text, so it shares
neither code nor mistakes with the operation that does.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from random import Random
from typing import Final, TypeAlias

#: Numbers in one expression.
_LEAVES_MAX: Final = 12

#: How tightly a node binds; a number binds as if it stood in parentheses.
_RANK: Final = {"+": 1, "-": 1, "*": 2, "/": 2}
_MINUS_RANK: Final = 3
_NUMBER_RANK: Final = 4


@dataclass(frozen=True, slots=True)
class Number:
    """A number as it is written."""

    digits: str

    @property
    def value(self) -> Fraction:
        return Fraction(self.digits)

    @property
    def rank(self) -> int:
        return _NUMBER_RANK


@dataclass(frozen=True, slots=True)
class Minus:
    """A sign in front of something."""

    operand: Tree

    @property
    def value(self) -> Fraction:
        return -self.operand.value

    @property
    def rank(self) -> int:
        return _MINUS_RANK


@dataclass(frozen=True, slots=True)
class Binary:
    """Two things and a sign in between."""

    left: Tree
    sign: str
    right: Tree

    @property
    def value(self) -> Fraction:
        left, right = self.left.value, self.right.value
        match self.sign:
            case "+":
                return left + right
            case "-":
                return left - right
            case "*":
                return left * right
        return left / right

    @property
    def rank(self) -> int:
        return _RANK[self.sign]


Tree: TypeAlias = Number | Minus | Binary


def random_tree(rng: Random) -> Tree:
    """A tree of up to `_LEAVES_MAX` numbers that divides by zero nowhere."""
    return _grow(rng, rng.randint(1, _LEAVES_MAX))


def write(tree: Tree, rng: Random) -> str:
    """A text that means `tree`: the parentheses it needs, now and then one more, blanks or none."""
    return "".join(token + rng.choice(("", " ")) for token in _tokens(tree, rng, 0))


def result(tree: Tree) -> int | float:
    """What arithmetic must answer: an int where the value is whole, else the float nearest to it."""
    value = tree.value
    return value.numerator if value.denominator == 1 else value.numerator / value.denominator


def _grow(rng: Random, leaves: int) -> Tree:
    if rng.random() < 0.1:
        return Minus(_grow(rng, leaves))
    if leaves == 1:
        return Number(_digits(rng))
    part = rng.randint(1, leaves - 1)
    left, right = _grow(rng, part), _grow(rng, leaves - part)
    return Binary(left, rng.choice("+-*/" if right.value else "+-*"), right)


def _digits(rng: Random) -> str:
    whole = str(rng.randint(0, 99))
    if rng.random() < 0.7:
        return whole
    return f"{rng.choice((whole, ''))}.{rng.randint(0, 99):02d}"


def _tokens(tree: Tree, rng: Random, least: int) -> list[str]:
    """`tree` as tokens, in parentheses where it binds less tightly than `least`."""
    match tree:
        case Number(digits):
            tokens = [digits]
        case Minus(operand):
            tokens = ["-", *_tokens(operand, rng, _MINUS_RANK)]
        case Binary(left, sign, right):
            # Equals go left to right, so on the right an equal needs parentheses.
            tokens = [*_tokens(left, rng, tree.rank), sign, *_tokens(right, rng, tree.rank + 1)]
    return ["(", *tokens, ")"] if tree.rank < least or rng.random() < 0.05 else tokens
