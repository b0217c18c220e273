"""Who manages the database: a row for each manager, which says every second that it lives."""

from __future__ import annotations

import os
import socket
from typing import Final

from qm.store.postgres.connection import Connection
from qm.store.postgres.line import Line
from qm.store.shared import Known, Other, Sight, Wants
from qm.store.sql.rows import worker_of
from qm.task import Lease

#: Seconds that a manager may say nothing: ten of its looks.
_TERM: Final = 10.0

#: ... and after which it counts as dead when its connection is gone as well: of its term, this much is left.
_REST_OF_A_KILLED: Final = 7.0

#: Looks that a leader which lost its connection waits before it buries others: a server that was away has
#: ended theirs as well, and they come back no sooner than it did.
_GRACE: Final = 10


class Presence:
    """One manager's view of all. Used under the writer's turn."""

    def __init__(self, manager: int, line: Line) -> None:
        self._manager = manager
        self._line = line
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._backend = line.backend
        self._grace = 0
        #: What of the sessions was last seen, and what is being looked at.
        self._seen: tuple[int, int] | None = None
        self._looked: tuple[int, int] | None = None

    def live(self, connection: Connection, wants: Wants, ended: int) -> float:
        """Says that we are there. Gives the database's time."""
        me = (self._manager, self._name, self._line.backend, _TERM, wants.hungry, wants.watching, ended)
        now: float = connection.run("live", me)[0][0]
        return now

    def look(self, connection: Connection, wants: Wants, ended: int) -> Sight:
        """Says that we are there and looks at all that concerns us. Who leads takes care of what others
        left."""
        now = self.live(connection, wants, ended)
        if self._line.leads and not self._is_back():
            connection.run("bury_managers", (_REST_OF_A_KILLED,))
            connection.run("adopt", (self._manager,))
        rows = connection.run("managers")
        self._line.know({row[0]: Wants(*row[3:]) for row in rows if row[0] != self._manager})
        cancelling = connection.run("cancelling_here", (self._manager,))
        return Sight(
            now=now,
            others=[Other(*row[:3]) for row in rows if row[0] != self._manager],
            ours={session for (session,) in connection.run("our_sessions", (self._manager,))},
            sessions=self._sessions(connection),
            cancelling=[(session, Lease(*lease)) for session, *lease in cancelling],
        )

    def seen(self) -> None:
        """What was looked at was understood: it is not shown again."""
        self._seen = self._looked

    def _sessions(self, connection: Connection) -> list[Known] | None:
        (self._looked,) = connection.run("sessions_version")
        if self._looked == self._seen:
            return None
        rows = connection.run("all_sessions", (self._manager,))
        return [Known(worker_of(row[:5]), *row[5:]) for row in rows]

    def _is_back(self) -> bool:
        """Whether we have only just come back from a loss of the connection."""
        if self._backend != self._line.backend:
            self._backend = self._line.backend
            self._grace = _GRACE
        is_back = self._grace > 0
        self._grace = max(self._grace - 1, 0)
        return is_back
