"""Which operations a pool serves."""

from __future__ import annotations

from collections.abc import Sequence

from qm.operations import Operations
from qm.operations.builtin import OPERATIONS
from qm.operations.load import load


def load_operations(modules: Sequence[str], types: Sequence[str] | None) -> Operations:
    """The operations of `modules` and, for types they do not bring, the built-in ones; `types` chooses.

    Raises `LoadError`, `DuplicateType`, and `OperationError` for a type that is not there.
    """
    found = load(modules).fill(OPERATIONS)
    return found if types is None else found.only(types)
