"""A qmanager that gives a task to whoever asks next as well: the mutant that the oracle must see through."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

from qm.messages import Taken
from qm.store.sqlite.transaction import SQLiteTransaction

_take = SQLiteTransaction.take
_last: list[Taken] = []


def take(self: SQLiteTransaction, *claim: Any) -> list[Taken]:
    taken = _take(self, *claim)
    _last[:] = taken or _last
    return taken or [*_last]


SQLiteTransaction.take = take  # type: ignore[method-assign, assignment]

if __name__ == "__main__":
    runpy.run_path(str(Path(__file__).with_name("short_term.py")), run_name="__main__")
