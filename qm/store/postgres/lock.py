"""Who manages a database: one for now, by a lock of the session.

Several managers: each will open the database, and this lock will say which of them tidies up.
"""

from __future__ import annotations

from typing import Any, Final

import psycopg
from psycopg import errors

from qm.errors import StoreBusy
from qm.store.postgres.address import Address
from qm.store.postgres.opening import cannot_open, connect

#: "qmanager" in ASCII. Locks of this kind are the database's own: another has another.
_LOCK: Final = 0x716D616E61676572

_HOLDER: Final = b"""
SELECT a.application_name, coalesce(host(a.client_addr), 'the same host')
FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.classid::bigint << 32 | l.objid::bigint = %s
"""


class ManagerLock:
    """The right to manage a database. It has a connection of its own and is gone with it."""

    def __init__(self, address: Address) -> None:
        """Raises `StoreBusy` where another manager has it, naming that one, and what `connect` raises."""
        self.db = connect(address, relaxed=True)
        try:
            self._take(address)
        except BaseException:
            self.db.close()
            raise

    def fileno(self) -> int:
        """Its socket: readable when the connection has ended."""
        return self.db.fileno()

    def holds(self) -> bool:
        """Whether the connection, and with it the lock, is there; to be asked when the socket is readable."""
        try:
            self.db.pgconn.consume_input()
        except psycopg.Error:
            return False
        return not self.db.closed

    def release(self) -> None:
        """Lets the database go."""
        self.db.close()

    def _take(self, address: Address) -> None:
        try:
            # a second: the server may not have noticed yet that the last manager was killed
            self.db.execute("SET lock_timeout = '1s'")
            self.db.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
        except errors.LockNotAvailable:
            raise StoreBusy(
                f"another manager ({self._holder()}) has the store {address}",
                hint="stop it first, or give this one another --store",
            ) from None
        except psycopg.Error as error:
            raise cannot_open(address, error) from error

    def _holder(self) -> str:
        row: Any = self.db.execute(_HOLDER, (_LOCK,)).fetchone()
        return f"{row[0]}, from {row[1]}" if row else "gone just now"
