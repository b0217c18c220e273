"""Moving house: a store is copied into another one, of the same dialect or not.

    SOURCE ──locked, read as of one moment──┐
                                            ├─ copy, table by table in the order of keys, in chunks ─► TARGET
    TARGET ──locked, empty, marked──────────┘   settle its counts and numbers
                                                compare: counts, and a checksum of every table at both ends
                                                remove the mark

While the target is marked no manager starts over it. A chunk is there or not, and where to go on is read from
the rows that are there, so that a copy that was killed goes on when it is said again.
"""

from __future__ import annotations

from qm.store.moving.move import Move, Report

__all__ = ["Move", "Report"]
