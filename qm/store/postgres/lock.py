"""Who has a database: its managers together, or a copy alone, by a lock of the server's sessions."""

from __future__ import annotations

from typing import Any, Final

import psycopg
from psycopg import errors

from qm.errors import StoreBusy
from qm.store.postgres.address import Address
from qm.store.postgres.opening import cannot_open, connect

#: "qm house" in ASCII. Locks of this kind are the database's own: another has another.
_LOCK: Final = 0x716D20686F757365

_HOLDERS: Final = b"""
SELECT DISTINCT a.application_name || ', from ' || coalesce(host(a.client_addr), 'the same host')
FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.classid::bigint << 32 | l.objid::bigint = %s
ORDER BY 1
"""


def share(db: psycopg.Connection[Any], address: Address) -> None:
    """Has the database with the other managers, for as long as `db` lasts. Raises `StoreBusy` where a copy is
    under way."""
    if not _get(db, address, "pg_advisory_lock_shared"):
        raise StoreBusy(
            f"the store {address} is being copied ({_holders(db, address)})",
            hint="start the manager when that is done",
        )


class SoleLock:
    """The right to a database that nobody else has. It has a connection of its own and is gone with it."""

    def __init__(self, address: Address) -> None:
        """Raises `StoreBusy` where managers have it, naming them, and what `connect` raises."""
        self.db = connect(address, relaxed=True)
        try:
            if not _get(self.db, address, "pg_advisory_lock"):
                raise StoreBusy(
                    f"the store {address} is in use ({_holders(self.db, address)})",
                    hint="stop its managers first, or give another store",
                )
        except BaseException:
            self.db.close()
            raise

    def release(self) -> None:
        """Lets the database go."""
        self.db.close()


def _get(db: psycopg.Connection[Any], address: Address, function: str) -> bool:
    """Whether the lock was to be had, which outlasts the transaction. It has a second: the server may not
    have noticed yet that the last one who had it is gone."""
    try:
        with db.transaction():
            db.execute("SET LOCAL lock_timeout = '1s'")
            db.execute(f"SELECT {function}(%s)".encode(), (_LOCK,))
    except errors.LockNotAvailable:
        return False
    except psycopg.Error as error:
        raise cannot_open(address, error) from error
    return True


def _holders(db: psycopg.Connection[Any], address: Address) -> str:
    try:
        names = [name for (name,) in db.execute(_HOLDERS, (_LOCK,)).fetchall()]
    except psycopg.Error as error:
        raise cannot_open(address, error) from error
    return "; ".join(names) or "gone just now"
