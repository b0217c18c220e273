"""The database behind the managers, and what its administrator and its machine do to it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

from qm.clock import SystemClock
from qm.errors import QueueError
from qm.simulator.chaos.journal import Crashed

#: Seconds for a server to be asked for something, and for the command that crashes it and starts it again.
_PATIENCE: Final = 5
_COMMAND: Final = 60.0

#: Ends the managers' connections, as an administrator does who wants to be alone.
_END: Final = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND application_name LIKE 'qmanager%' AND pid <> pg_backend_pid()
"""


class Database:
    """A PostgreSQL database. Main thread only."""

    def __init__(self, url: str, command: str | None, log: Path) -> None:
        """`command`: for the shell; crashes the server and starts it again. What it prints goes to `log`."""
        self._url = url
        self._command = command
        self._log = log
        self._clock = SystemClock()
        self._crash: subprocess.Popen[bytes] | None = None
        self._began = 0.0

    def end_connections(self) -> bool:
        """Ends those of all managers. Gives whether there were any: a server that is away has none."""
        import psycopg  # comes with qmanager[postgres], which only those have who name a database

        try:
            with psycopg.connect(
                self._url, application_name="qmsimulator", connect_timeout=_PATIENCE, autocommit=True
            ) as db:
                return len(db.execute(_END).fetchall()) > 0
        except psycopg.OperationalError:
            return False

    def crash(self) -> bool:
        """Begins to crash it. Gives whether: not while that is under way."""
        if self._crash is not None or self._command is None:
            return False
        self._began = self._clock.monotonic()
        with self._log.open("ab") as log:
            self._crash = subprocess.Popen(
                self._command, shell=True, stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0
            )
        return True

    def look(self) -> Crashed | None:
        """The crash that is over by now, once. Raises `QueueError` where the command failed, or hangs."""
        if self._crash is None:
            return None
        code, now = self._crash.poll(), self._clock.monotonic()
        if code is None:
            if now > self._began + _COMMAND:
                raise QueueError(f"the command of --database-crash did not end within {_COMMAND:g} s")
            return None
        self._crash = None
        if code != 0:
            raise QueueError(
                f"the command of --database-crash ended with exit code {code}",
                hint=f"what it said is in {self._log.name}",
            )
        return Crashed(self._began, now)

    @property
    def is_crashing(self) -> bool:
        """Whether a crash is under way."""
        return self._crash is not None

    def end(self) -> None:
        """Lets a crash that is under way come to its end: half of it would leave no server."""
        if self._crash is not None:
            try:
                self._crash.wait(_COMMAND)
            except subprocess.TimeoutExpired:
                self._crash.kill()
                self._crash.wait()
