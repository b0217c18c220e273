"""Operations for measuring: one does nothing, so that what is measured is qmanager; one computes."""

from __future__ import annotations

from typing import Any

import bcrypt

from benchmarks.stamps import Stamper
from qm import Operations

ops = Operations()
_stamp = Stamper()


@ops.operation("noop")
def noop(value: Any) -> Any:
    """Gives its input back."""
    _stamp()
    return value


@ops.operation("bcrypt")
def hashed(value: str) -> str:
    """The bcrypt hash of a text at cost 4, the cheapest: about a millisecond of pure computing."""
    digest = bcrypt.hashpw(value.encode(), bcrypt.gensalt(4)).decode("ascii")
    _stamp()
    return digest
