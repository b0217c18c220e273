"""A qmanager that takes a result under any lease: the mutant that the oracle must see through.

As if the WHERE of the query said only `id = ? AND state = 'running'`.
"""

from __future__ import annotations

import runpy
from collections.abc import Sequence
from pathlib import Path

from qm.store.sql.part import Row
from qm.store.sql.settling import Settling, _End
from qm.store.sqlite.connection import Connection
from qm.task import Lease

_settle = Settling._settle
_CURRENT = "SELECT attempt, lease FROM tasks WHERE id = ? AND state = 'running'"


def settle(self: Settling, verb: str, ends: Sequence[_End], now: float, extra: Row):
    if verb == "finish":
        ends = [end._replace(lease=_current(self, end.lease)) for end in ends]
    return _settle(self, verb, ends, now, extra)


def _current(store: Settling, lease: Lease) -> Lease:
    """The lease that holds, whatever was said."""
    assert isinstance(store.connection, Connection)
    found = store.connection.db.execute(_CURRENT, (lease.id,)).fetchone()
    return lease if found is None else Lease(lease.id, *found)


Settling._settle = settle  # type: ignore[method-assign]

if __name__ == "__main__":
    runpy.run_path(str(Path(__file__).with_name("short_term.py")), run_name="__main__")
