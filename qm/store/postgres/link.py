"""Keeps the writing connection, whatever happens to the server.

    up ──a statement finds it dead──► down ──a thread opens it anew──► up

While it is down, callers hear `NotCommitted` after a moment's wait; they say their calls again, as after any
other lost commit. The thread waits ever longer between its tries.
"""

from __future__ import annotations

import logging
import threading
from typing import Final

from qm.errors import NotCommitted, StoreError
from qm.store.postgres.address import Address
from qm.store.postgres.connection import Connection
from qm.store.postgres.opening import connect
from qm.store.postgres.pauses import pauses

_log = logging.getLogger(__name__)

#: Seconds that a caller waits for a lost connection to be back: a server that only ended ours answers soon.
_PATIENCE: Final = 1.0


class Link:
    """The writing connection. `take` and `drop` are for whoever has the writers' turn."""

    def __init__(self, address: Address, *, relaxed: bool) -> None:
        """Raises what `connect` raises."""
        self._address = address
        self._relaxed = relaxed
        self._closing = threading.Event()
        self._up = threading.Event()
        self._down = threading.Event()
        #: It was called, and did not answer.
        self._away = False
        self._connection: Connection | None = None
        self._open()
        self._thread = threading.Thread(target=self._watch, name="database", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Until the database is there, for a moment; not at all where it is known to be away, since callers
        take turns. Raises `NotCommitted`."""
        if not self._up.wait(0 if self._away else _PATIENCE):
            raise NotCommitted(f"the database {self._address} cannot be reached", hint="try again")

    def take(self) -> Connection:
        """The writing connection. Raises `NotCommitted` while there is none."""
        self.wait()
        assert self._connection is not None
        return self._connection

    def drop(self, connection: Connection) -> None:
        """This one is of no use any more: it is closed, and the next one opened."""
        if connection is self._connection:
            self._up.clear()
            self._connection = None
            self._down.set()
        connection.close()

    def close(self) -> None:
        """Lets the database go. Nobody may have the turn."""
        self._closing.set()
        self._down.set()
        self._thread.join()
        if self._connection is not None:
            self._connection.close()

    def _watch(self) -> None:
        while self._down.wait() and not self._closing.is_set():
            self._down.clear()
            self._come_back()

    def _come_back(self) -> None:
        for pause in pauses():
            try:
                self._open()
            except StoreError as error:
                self._away = True
                _log.warning("%s; trying again in %g s", error, pause)
                if self._closing.wait(pause):
                    return
            else:
                _log.warning("the connection to the database %s was lost, and is back", self._address)
                return

    def _open(self) -> None:
        self._connection = Connection(connect(self._address, relaxed=self._relaxed))
        self._away = False
        self._up.set()
