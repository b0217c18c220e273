"""Operations for measuring: they do nothing, so that what is measured is qmanager."""

from __future__ import annotations

from typing import Any

from qm import Operations

ops = Operations()


@ops.operation("noop")
def noop(value: Any) -> Any:
    """Gives its input back."""
    return value
