"""encoder: the bcrypt hash of a text."""

from __future__ import annotations

from typing import Final

import bcrypt

from qm.errors import NonRetryable
from qm.operations.binding import kind
from qm.operations.registry import Operations

ops = Operations()

#: bcrypt reads this many bytes and no more. Cutting silently would let two passwords share a hash.
BYTES_MAX: Final = 72

#: Each step of the cost doubles the work: 10 takes 0.1 s, 16 some seconds, 31 would take days.
COST_DEFAULT: Final = 10
COST_MIN, COST_MAX = 4, 16


@ops.operation("encoder")
def encoder(value: object) -> str:
    """The bcrypt hash of `value`: a text, ``{"text": ..., "cost": ...}`` or ``[text, cost]``.

    The text has at most `BYTES_MAX` bytes as UTF-8. `cost` is `COST_DEFAULT` unless given. Each hash has a
    salt of its own.
    """
    text, cost = _parts(value)
    return bcrypt.hashpw(_checked_text(text), bcrypt.gensalt(_checked_cost(cost))).decode("ascii")


def _parts(value: object) -> tuple[object, object]:
    if isinstance(value, (list, tuple)):
        if not 1 <= len(value) <= 2:
            raise NonRetryable("encoder takes a list of a text and, if wanted, a cost, and nothing else")
        return value[0], value[1] if len(value) == 2 else COST_DEFAULT
    if not isinstance(value, dict):
        return value, COST_DEFAULT
    if "text" not in value or not value.keys() <= {"text", "cost"}:
        raise NonRetryable('encoder takes a mapping with "text" and, if wanted, "cost", and nothing else')
    return value["text"], value.get("cost", COST_DEFAULT)


def _checked_text(text: object) -> bytes:
    if not isinstance(text, str):
        raise NonRetryable(f'encoder needs a text, or {{"text": ..., "cost": ...}}, got {kind(text)}')
    try:
        data = text.encode()
    except UnicodeEncodeError:
        raise NonRetryable("the text has half of a surrogate pair, which UTF-8 cannot carry") from None
    if len(data) > BYTES_MAX:
        raise NonRetryable(f"the text has {len(data):,} bytes as UTF-8, bcrypt takes at most {BYTES_MAX}")
    if 0 in data:
        raise NonRetryable("the text has a NUL character, at which many bcrypt implementations stop reading")
    return data


def _checked_cost(cost: object) -> int:
    if isinstance(cost, bool) or not isinstance(cost, int):
        raise NonRetryable(f"the cost must be a whole number, got {type(cost).__name__}")
    if not COST_MIN <= cost <= COST_MAX:
        raise NonRetryable(f"the cost must be between {COST_MIN} and {COST_MAX}")
    return cost
