"""Random tasks of the built-in types, and how to tell a right output from a wrong one.

No answer is computed by the code of the operations: a fault in them would be on both sides and not be seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Any, Final, NamedTuple

import bcrypt

from qm.simulator import expressions

#: The bound of an encoder's text, in bytes as UTF-8.
_SECRET_MAX: Final = 72

#: The cost of a bcrypt hash whose input names none.
_COST_DEFAULT: Final = 10

#: Upper ends of n, each as likely: mostly quick, now and then an answer of thousands of digits.
_FIBONACCI_MAX: Final = (20, 300, 3_000, 20_000)

#: Upper ends of a text's length in clusters.
_REVERSE_MAX: Final = (5, 40, 400)

#: Grapheme clusters that stay apart in any order and under every version of Unicode: Latin with accents in
#: one and two code points, other scripts with their marks, and emoji of up to seven code points.
CLUSTERS: Final = (
    *"aZ7 .ßщλ中字한",
    "\u00e9",
    "e\u0301",
    "o\u0308\u0323",
    "\u0928\u093f",
    "\u0e01\u0e49",
    "\u05e9\u05c1",
    "\r\n",
    "\U0001f600",
    "\U0001f44d\U0001f3fd",
    "\u2764\ufe0f",
    "\U0001f1e9\U0001f1ea",
    "\U0001f1f8\U0001f1ee",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466",
)


class Job(NamedTuple):
    """A task to add. `complaint` says what is wrong with an output, or None where it is right."""

    type: str
    input: Any
    complaint: Callable[[Any], str | None]


class Load:
    """An endless row of random jobs; the same seed and producer give the same row."""

    def __init__(self, seed: int, producer: int, encoder_cost: int | None = None) -> None:
        """`encoder_cost`: that of the bcrypt hashes; None leaves it to the operation."""
        # A text is seeded by its hash, so that the rows of neighbours have nothing in common.
        self._rng = Random(f"{seed}/{producer}")
        self._cost = encoder_cost

    def __iter__(self) -> Iterator[Job]:
        makers = {
            "fibonacci": self._fibonacci,
            "arithmetic": self._arithmetic,
            "reverse": self._reverse,
            "encoder": self._encoder,
        }
        while True:
            yield makers[self._rng.choice(TYPES)]()

    def _fibonacci(self) -> Job:
        n = self._rng.randint(0, self._rng.choice(_FIBONACCI_MAX))
        given = self._rng.choice((n, str(n)))
        return Job("fibonacci", given, lambda output: _differs(output, fibonacci(n)))

    def _arithmetic(self) -> Job:
        tree = expressions.random_tree(self._rng)
        text = expressions.write(tree, self._rng)
        return Job("arithmetic", text, lambda output: _differs(output, expressions.result(tree)))

    def _reverse(self) -> Job:
        length = self._rng.randint(0, self._rng.choice(_REVERSE_MAX))
        clusters = self._rng.choices(CLUSTERS, k=length)
        return Job("reverse", "".join(clusters), lambda output: _differs(output, "".join(clusters[::-1])))

    def _encoder(self) -> Job:
        text = "".join(self._rng.choices(CLUSTERS, k=self._rng.randint(0, 20)))
        while len(text.encode()) > _SECRET_MAX:
            text = text[:-1]
        given = text if self._cost is None else {"text": text, "cost": self._cost}
        cost = _COST_DEFAULT if self._cost is None else self._cost
        return Job("encoder", given, lambda output: _is_no_hash(output, text, cost))


#: The types in use, each as often.
TYPES: Final = ("fibonacci", "arithmetic", "reverse", "encoder")


def fibonacci(n: int) -> int:
    """F(`n`) by plain addition."""
    current, following = 0, 1
    for _ in range(n):
        current, following = following, current + following
    return current


def _differs(output: Any, expected: int | float | str) -> str | None:
    if type(output) is type(expected) and output == expected:
        return None
    return f"expected {_short(expected)}, got {_short(output)}"


def _is_no_hash(output: Any, text: str, cost: int) -> str | None:
    if not isinstance(output, str) or not output.startswith(f"$2b${cost:02d}$"):
        return f"expected a bcrypt hash of cost {cost}, got {_short(output)}"
    try:
        fits = bcrypt.checkpw(text.encode(), output.encode())
    except ValueError:
        fits = False
    return None if fits else f"{_short(output)} is no bcrypt hash of {_short(text)}"


def _short(value: Any) -> str:
    """`value` in at most some 60 characters; Python refuses to print integers of over 4,300 digits."""
    if isinstance(value, int) and abs(value) >= 10**40:
        return f"an integer of {value.bit_length()} bits"
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
