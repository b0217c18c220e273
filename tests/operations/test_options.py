from __future__ import annotations

from typing import Any

import pytest

from qm.errors import OperationError
from qm.limits import TAKE_MAX
from qm.messages import TypeOptions
from qm.operations.options import checked


def test_what_is_not_said_is_left_open() -> None:
    assert checked({}) == TypeOptions(timeout=None, attempts=None, keep=None, prefetch=None)


@pytest.mark.parametrize(
    "options",
    [
        {"timeout": 0.5, "attempts": 1, "keep": 0, "prefetch": 1},
        {"timeout": 3600, "attempts": 100, "keep": 86400.0, "prefetch": TAKE_MAX},
        {"timeout": None},
    ],
)
def test_what_makes_sense_is_carried_over(options: Any) -> None:
    assert checked(options) == TypeOptions(**options)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("timeout", value) for value in (0, -1, float("inf"), float("nan"), True, "60")),
        *(("attempts", value) for value in (0, -1, 2.0, True, "5")),
        *(("keep", value) for value in (-1, float("inf"), False, "1d")),
        *(("prefetch", value) for value in (0, TAKE_MAX + 1, 1.0, True)),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(OperationError, match=f"option {name} must be"):
        checked({name: value})  # type: ignore[misc]


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(TypeError, match="retries"):
        checked({"retries": 5})  # type: ignore[typeddict-unknown-key]
