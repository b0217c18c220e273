"""Children that die before they can work: when to give up, and what to say then."""

from __future__ import annotations

from typing import Final

from qm.errors import LoadError, OperationError
from qm.worker.config import NO_GUARD_EXIT

#: Children that may die in a row before any of them could work.
_MAX: Final = 3


class Stillbirths:
    """Counts them. To try for ever would burn the machine and say nothing."""

    def __init__(self) -> None:
        self._in_a_row = 0

    def end_row(self) -> None:
        """A child can work."""
        self._in_a_row = 0

    def judge(self, code: int, broken: str | None) -> OperationError | None:
        """A child has died with this exit code; `broken`: what it could not load. Gives why the pool cannot
        go on, None where it may try another."""
        self._in_a_row += 1
        if broken is not None:
            return LoadError(broken)
        if code == NO_GUARD_EXIT:
            return LoadError(
                "the script starts its worker when it is imported, and every child imports it: "
                'put the call of Worker.run under `if __name__ == "__main__":`'
            )
        if self._in_a_row < _MAX:
            return None
        return OperationError(
            f"{self._in_a_row} children in a row died before they could work (exit code {code}); "
            f"what they printed stands above"
        )
