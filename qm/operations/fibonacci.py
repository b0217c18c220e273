"""fibonacci: the n-th Fibonacci number, exact."""

from __future__ import annotations

import re
from typing import Final

from qm.errors import NonRetryable
from qm.operations.binding import kind
from qm.operations.registry import Operations

ops = Operations()

#: F(20,000) has 4,180 digits. Python does not print integers of more than 4,300 unless told to, and a result
#: that cannot be printed helps nobody.
N_MAX: Final = 20_000

#: Characters of a number written as a text; int() takes long over very many digits and then refuses them.
TEXT_MAX: Final = 100

_WHOLE: Final = re.compile(r"\s*([+-]?[0-9]+)\s*", re.ASCII)


@ops.operation("fibonacci")
def fibonacci(n: object) -> int:
    """F(`n`), with F(0) = 0 and F(1) = 1. `n` is an integer or a text of one, from 0 to `N_MAX`.

    A float is refused even if whole: it comes from a calculation that may have rounded.
    """
    current, following = 0, 1
    for bit in f"{_checked(n):b}":  # fast doubling: k becomes 2k, or 2k + 1 where the bit is set
        current, following = current * (2 * following - current), current**2 + following**2
        if bit == "1":
            current, following = following, current + following
    return current


def _checked(n: object) -> int:
    if isinstance(n, str):
        n = _from_text(n)
    if isinstance(n, bool) or not isinstance(n, int):
        raise NonRetryable(f"fibonacci needs a whole number, or a text of one, got {kind(n)}")
    if n < 0:
        raise NonRetryable("fibonacci needs a number of at least 0, got a negative one")
    if n > N_MAX:
        raise NonRetryable(f"fibonacci goes up to n = {N_MAX:,}, got a larger number")
    return n


def _from_text(text: str) -> int:
    match = _WHOLE.fullmatch(text[: TEXT_MAX + 1])
    if not match or len(text) > TEXT_MAX:
        raise NonRetryable(f"fibonacci needs a whole number, got the text {text[:TEXT_MAX]!r}")
    return int(match[1])
