"""The operations that come with qmanager, ready to run."""

from __future__ import annotations

from typing import Final

from qm.operations import arithmetic, encoder, fibonacci, reverse
from qm.operations.registry import Operations

#: ``load(["qm.operations.builtin"])`` finds them here, like those of any other module.
OPERATIONS: Final = Operations().merge(fibonacci.ops, arithmetic.ops, reverse.ops, encoder.ops)
