"""A qmanager that answers before it commits: the mutant that the oracle must see through.

What it says to SQLite at the end of a transaction is not said: it all stays in one, which is committed a
moment later.
"""

from __future__ import annotations

import runpy
import threading
from pathlib import Path
from typing import Final

from qm.store.sqlite.connection import Connection
from qm.store.sqlite.store import SQLiteStore
from qm.store.sqlite.transaction import SQLiteTransaction

#: Seconds after which what was answered is committed at last.
_LATE: Final = 0.5

_execute, _begin = Connection.execute, SQLiteStore._begin
#: The connection that writes; others are let alone.
_writer: Connection | None = None

#: Whether the last transaction ended well, as its callers believe.
_answered = False


def execute(connection: Connection, sql: str) -> None:
    global _answered
    is_open = connection.db.in_transaction
    if connection is not _writer:
        _execute(connection, sql)
    elif sql == "COMMIT":
        _answered = True
    elif sql == "ROLLBACK" and _answered:
        _answered = False
    elif not (is_open and (sql == "BEGIN IMMEDIATE" or sql.startswith("PRAGMA synchronous"))):
        _execute(connection, sql)


def begin(store: SQLiteStore, sync: bool) -> SQLiteTransaction:
    global _writer
    _writer = store._connection
    if not _writer.db.in_transaction:
        threading.Timer(_LATE, _commit, [store]).start()
    return _begin(store, sync)


def _commit(store: SQLiteStore) -> None:
    with store._turn:
        if not store._closed and store._connection.db.in_transaction:
            _execute(store._connection, "COMMIT")


Connection.execute = execute  # type: ignore[method-assign, assignment]
SQLiteStore._begin = begin  # type: ignore[method-assign, assignment]

if __name__ == "__main__":
    runpy.run_path(str(Path(__file__).with_name("short_term.py")), run_name="__main__")
