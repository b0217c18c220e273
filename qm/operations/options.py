"""What an operation says of its tasks, checked where it is written."""

from __future__ import annotations

import math
from typing import TypedDict

from qm.errors import OperationError
from qm.limits import TAKE_MAX
from qm.messages import TypeOptions


class Options(TypedDict, total=False):
    """The keywords of `Operations.register` and `Operations.operation`; see `qm.messages.TypeOptions`."""

    timeout: float | None
    attempts: int | None
    keep: float | None
    prefetch: int | None


def checked(options: Options) -> TypeOptions:
    """`options` as they travel.

    Raises `OperationError` for a value that makes no sense, `TypeError` for a name that is no option.
    """
    made = TypeOptions(**options)
    _demand(_is_time(made.timeout) and made.timeout != 0, "timeout", "seconds, more than 0", made.timeout)
    _demand(_is_count(made.attempts), "attempts", "a whole number of at least 1", made.attempts)
    _demand(_is_time(made.keep), "keep", "seconds, 0 or more", made.keep)
    _demand(_is_count(made.prefetch, TAKE_MAX), "prefetch", f"between 1 and {TAKE_MAX}", made.prefetch)
    return made


def _demand(fits: bool, name: str, expected: str, value: object) -> None:
    if not fits:
        raise OperationError(f"the option {name} must be {expected}, not {value!r}")


def _is_time(value: object) -> bool:
    if value is None:
        return True
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < math.inf


def _is_count(value: object, most: int | None = None) -> bool:
    if value is None:
        return True
    if not isinstance(value, int) or isinstance(value, bool):
        return False
    return value >= 1 and (most is None or value <= most)
