"""Keeps the writing connection, whatever happens to the server.

    up ──a statement finds it dead──► down ──a thread opens it anew──► up
                                        └──a newer schema is none for us──► over

While it is down, callers hear `NotCommitted` after a moment's wait; they say their calls again, as after any
other lost commit. The thread waits ever longer between its tries.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import psycopg

from qm.errors import NotCommitted, StoreError, StoreTooNew
from qm.store.postgres.address import Address
from qm.store.postgres.connection import Connection
from qm.store.postgres.lock import share
from qm.store.postgres.opening import connect, hurry, passes
from qm.store.postgres.pauses import pauses
from qm.store.postgres.schema import admit

_log = logging.getLogger(__name__)

#: Seconds that a caller waits for a lost connection to be back: a server that only ended ours answers soon.
_PATIENCE: Final = 1.0

#: Seconds for which a server may be starting, or recovering from a crash, when we start ourselves: the host
#: came up with both of us on it.
_STARTING: Final = 30.0

#: Hears once why the store cannot be used any more, in whichever thread found it out.
OnBroken: TypeAlias = Callable[[StoreError], None]


class Link:
    """The writing connection. `take` and `drop` are for whoever has the writers' turn."""

    def __init__(self, address: Address, *, relaxed: bool) -> None:
        """Raises what `connect`, `admit` and `share` raise."""
        self._address = address
        self._relaxed = relaxed
        #: Why it will not come back; None: it is there, or may.
        self.over: StoreError | None = None
        self._on_broken: OnBroken | None = None
        self._guard = threading.Lock()
        self._closing = threading.Event()
        self._up = threading.Event()
        self._down = threading.Event()
        #: Calls stand behind it.
        self._serves = False
        #: It was called, and did not answer.
        self._away = False
        self._connection: Connection | None = None
        self._begin()
        self._thread = threading.Thread(target=self._watch, name="database", daemon=True)
        self._thread.start()

    def listen(self, on_broken: OnBroken) -> None:
        """Has `on_broken` told, at once where it is over already."""
        with self._guard:
            self._on_broken = on_broken
            over = self.over
        if over is not None:
            on_broken(over)

    def serve(self) -> None:
        """The database is ready, calls come: no lock is waited for for long any more. Raises `StoreError`."""
        self._serves = True
        hurry(self.take().db, self._address)

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

    def _begin(self) -> None:
        waited = 0.0
        for pause in pauses():
            try:
                return self._open()
            except StoreError as error:
                if not passes(error) or waited >= _STARTING:
                    raise
                _log.warning("%s; trying again in %g s", error, pause)
            waited += pause
            self._closing.wait(pause)

    def _watch(self) -> None:
        while self._down.wait() and not self._closing.is_set():
            self._down.clear()
            self._come_back()

    def _come_back(self) -> None:
        for pause in pauses():
            try:
                self._open()
            except StoreTooNew as error:
                return self._end(error)
            except StoreError as error:
                self._away = True
                _log.warning("%s; trying again in %g s", error, pause)
                if self._closing.wait(pause):
                    return
            else:
                _log.warning("the connection to the database %s was lost, and is back", self._address)
                return

    def _open(self) -> None:
        connection = Connection(self._admitted())
        with self._guard:
            self._connection = connection
            self._away = False
            self._up.set()

    def _admitted(self) -> psycopg.Connection[Any]:
        """A connection that says which schema we know, and that we have the database: the last one took both
        with it."""
        db = connect(self._address, relaxed=self._relaxed)
        try:
            share(db, self._address)
            admit(db, self._address)
            if self._serves:
                hurry(db, self._address)
        except BaseException:
            db.close()
            raise
        return db

    def _end(self, why: StoreError) -> None:
        _log.critical("%s; nothing is acknowledged any more", why)
        with self._guard:
            self.over = why
            on_broken = self._on_broken
        if on_broken is not None:
            on_broken(why)
