"""Keeps the writing connection, and the lock that makes the database ours, whatever happens to the server.

    up ──a statement finds it dead, or the lock's socket ends──► down ──a thread opens both anew──► up
                                                                  └──another manager has the lock──► over

While it is down, callers hear `NotCommitted` after a moment's wait; they say their calls again, as after any
other lost commit. The thread waits ever longer between its tries.
"""

from __future__ import annotations

import logging
import os
import select
import threading
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import psycopg

from qm.errors import NotCommitted, StoreBusy, StoreError, StoreTooNew
from qm.store.postgres.address import Address
from qm.store.postgres.connection import Connection
from qm.store.postgres.lock import ManagerLock
from qm.store.postgres.opening import connect
from qm.store.postgres.schema import admit

_log = logging.getLogger(__name__)

#: Seconds between two tries to reach the server: the first at once, then doubling up to the longest.
_SHORTEST, _LONGEST = 0.1, 5.0

#: Seconds that a caller waits for a lost connection to be back: a server that only ended ours answers soon.
_PATIENCE: Final = 1.0

#: Hears once why the store cannot be used any more, in whichever thread found it out.
OnBroken: TypeAlias = Callable[[StoreError], None]


class Link:
    """The writing connection and the lock. `take` and `drop` are for whoever has the writers' turn."""

    def __init__(self, address: Address, *, relaxed: bool) -> None:
        """Raises what `ManagerLock`, `connect` and `admit` raise."""
        self._address = address
        self._relaxed = relaxed
        #: Why it will not come back; None: it is there, or may.
        self.over: StoreError | None = None
        self._on_broken: OnBroken | None = None
        self._wake_read, self._wake_write = os.pipe()
        self._closing = threading.Event()
        self._up = threading.Event()
        #: It was called, and did not answer.
        self._away = False
        self._guard = threading.Lock()
        self._lock: ManagerLock | None = None
        self._connection: Connection | None = None
        #: Lost with the lock, and to be closed by whoever has the turn: somebody may be using them.
        self._left: list[Connection] = []
        try:
            self._open()
        except BaseException:
            self._let_go()
            raise
        self._thread = threading.Thread(target=self._watch, name="database", daemon=True)

    def start(self) -> None:
        """Begins to watch, once the database is ready for us."""
        self._thread.start()

    def listen(self, on_broken: OnBroken) -> None:
        """Has `on_broken` told, at once where it is over already."""
        with self._guard:
            self._on_broken = on_broken
            over = self.over
        if over is not None:
            on_broken(over)

    def wait(self) -> None:
        """Until the database is there, for a moment; not at all where it is known to be away, since callers
        take turns. Raises `NotCommitted`."""
        if not self._up.wait(0 if self._away else _PATIENCE):
            raise NotCommitted(f"the database {self._address} cannot be reached", hint="try again")

    def take(self) -> Connection:
        """The writing connection. Raises `NotCommitted` while there is none."""
        self.wait()
        if (connection := self._connection) is None:  # lost just now
            raise NotCommitted(f"the database {self._address} cannot be reached", hint="try again")
        self._close_left()
        return connection

    def holds(self, connection: Connection) -> bool:
        """Whether `connection` is still the one to write by."""
        return self._up.is_set() and connection is self._connection

    def drop(self, connection: Connection) -> None:
        """This one is of no use any more: it is closed, and the next one opened."""
        with self._guard:
            if connection is self._connection:
                self._connection = None
                self._up.clear()
        connection.close()
        self._wake()

    def close(self) -> None:
        """Lets the database go. Nobody may have the turn."""
        self._closing.set()
        self._wake()
        if self._thread.ident is not None:
            self._thread.join()
        self._let_go()

    def _watch(self) -> None:
        while not self._closing.is_set() and self.over is None:
            self._wait_for_trouble()
            if self._lock is not None and not self._lock.holds():
                self._lose_lock()
            if not self._up.is_set():
                self._come_back()

    def _wait_for_trouble(self) -> None:
        files = [self._wake_read] if self._lock is None else [self._wake_read, self._lock.fileno()]
        ready, _, _ = select.select(files, [], [])
        if self._wake_read in ready:
            os.read(self._wake_read, 4096)

    def _lose_lock(self) -> None:
        """Without it the writing connection is not ours either. Whoever has the turn finds that at its
        commit:
        a connection must not be closed under the one who uses it."""
        assert self._lock is not None
        self._lock.release()
        self._lock = None
        self._up.clear()

    def _come_back(self) -> None:
        pause = _SHORTEST
        while not self._closing.is_set():
            try:
                self._open()
            except (StoreBusy, StoreTooNew) as error:
                return self._end(error)
            except StoreError as error:
                self._away = True
                _log.warning("%s; trying again in %g s", error, pause)
                self._closing.wait(pause)
                pause = min(2 * pause, _LONGEST)
            else:
                _log.warning("the connection to the database %s was lost, and is back", self._address)
                return

    def _open(self) -> None:
        """Opens what is missing."""
        if self._lock is None:
            self._lock = ManagerLock(self._address)
        connection = Connection(self._admitted())
        with self._guard:
            if self._connection is not None:
                self._left.append(self._connection)
            self._connection = connection
            self._away = False
            self._up.set()

    def _admitted(self) -> psycopg.Connection[Any]:
        """A connection that says which schema we know: the last one took that word with it."""
        db = connect(self._address, relaxed=self._relaxed)
        try:
            admit(db, self._address)
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

    def _wake(self) -> None:
        os.write(self._wake_write, b"!")

    def _close_left(self) -> None:
        while self._left:
            self._left.pop().close()

    def _let_go(self) -> None:
        self._close_left()
        if self._connection is not None:
            self._connection.close()
        if self._lock is not None:
            self._lock.release()
        os.close(self._wake_read)
        os.close(self._wake_write)
