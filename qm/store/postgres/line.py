"""The connection by which managers hear of one another, and the lead that goes with it.

    LISTEN qmanager ──► hints of others, as they come
    pg_notify       ◄── our hints, gathered while the last ones were on their way
    advisory lock   one of the managers has it, and leads; the server frees it with the connection

Hints go by this connection and not with the commit: a commit that notifies waits for every other one that
does, the disk included. They come late by a round trip, and may be lost; everybody looks once a second
anyway.
"""

from __future__ import annotations

import logging
import os
import select
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import psycopg

from qm.errors import QueueError, StoreError
from qm.store.postgres.address import Address
from qm.store.postgres.connection import Connection
from qm.store.postgres.hints import Batch, decode
from qm.store.postgres.opening import connect
from qm.store.postgres.pauses import pauses
from qm.store.shared import Hints, Wants

_log = logging.getLogger(__name__)

#: Seconds between two tries to get the lead.
_LOOK: Final = 1.0


class Line:
    """Sends and hears hints, and holds the lead if it can. Thread-safe."""

    def __init__(self, address: Address, manager: int) -> None:
        """Raises what `connect` raises."""
        self._address = address
        self._manager = manager
        self._hear: Callable[[Hints], None] | None = None
        #: What the other managers want to hear of, by their numbers.
        self._others: dict[int, Wants] = {}
        self._batch: Batch | None = None
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._wake_read, self._wake_write = os.pipe()
        #: Whether we lead, as far as we know.
        self.leads = False
        #: The server's process behind the connection; another one after a loss.
        self.backend = 0
        try:
            self._connection: Connection | None = self._open()
        except BaseException:
            self._close_pipe()
            raise
        self._thread = threading.Thread(target=self._run, name="hints", daemon=True)
        self._thread.start()

    def listen_to(self, hear: Callable[[Hints], None]) -> None:
        """See `qm.store.shared.Shared`."""
        self._hear = hear

    @property
    def has_others(self) -> bool:
        """Whether there are other managers, as far as we know."""
        return bool(self._others)

    def know(self, others: dict[int, Wants]) -> None:
        """The other managers and what they want, as the database has it."""
        self._others = others

    def tell(self, hints: Hints) -> None:
        """See `qm.store.shared.Shared`."""
        if self._others:
            self._send(lambda batch: batch.add(hints))

    def want(self, wants: Wants) -> None:
        """See `qm.store.shared.Shared`."""
        if self._others:
            self._send(lambda batch: batch.want(wants))

    def announce(self) -> None:
        """Tells whoever is there, known or not, that we came or go."""
        self._send(lambda batch: batch.add(Hints(moved=True)))

    def close(self) -> None:
        """Sends what is left, and lets the lead go."""
        with self._lock:
            self._closing.set()
            self._wake()
        self._thread.join()
        if self._connection is not None:
            self._connection.close()
        self._close_pipe()

    def _send(self, add: Callable[[Batch], None]) -> None:
        with self._lock:
            if self._closing.is_set():
                return
            if self._batch is None:
                self._batch = Batch()
                self._wake()
            add(self._batch)

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                if self._connection is None:
                    self._connection = self._come_back()
                else:
                    self._serve(self._connection)
            except (QueueError, psycopg.Error) as error:
                _log.debug("the connection for hints was lost: %s", error)
                self._lose()
            except Exception:  # without this thread nobody would lead, and hints would pile up
                _log.exception("the connection for hints is opened anew")
                self._lose()
                self._closing.wait(_LOOK)
        if self._connection is not None:
            with suppress(QueueError):
                self._flush(self._connection)

    def _serve(self, connection: Connection) -> None:
        """Until we close. Raises where the connection is lost."""
        said = select.poll()  # select knows no descriptor above 1023
        for descriptor in (self._wake_read, connection.db.fileno()):
            said.register(descriptor, select.POLLIN)
        while not self._closing.is_set():
            if not self.leads:
                self._try_to_lead(connection)
            for descriptor, _ in said.poll(_LOOK * 1000):
                if descriptor == self._wake_read:
                    os.read(self._wake_read, 4096)
                    self._flush(connection)
                else:
                    self._read(connection.db)

    def _flush(self, connection: Connection) -> None:
        with self._lock:
            batch, self._batch = self._batch, None
        if batch is not None:
            others = self._others.values()
            wanted = Wants(any(one.hungry for one in others), any(one.watching for one in others))
            if messages := batch.messages(self._manager, wanted):
                connection.run("hint", (messages,))

    def _read(self, db: psycopg.Connection[Any]) -> None:
        db.pgconn.consume_input()  # raises where the connection is lost
        while (notify := db.pgconn.notifies()) is not None:
            self._listen(notify.extra.decode())

    def _listen(self, payload: str) -> None:
        message = decode(payload)
        if message is None:
            _log.warning("something that is no hint was said on the channel qmanager: %.80r", payload)
        elif message.sender != self._manager:
            if message.sender in self._others:
                known = self._others[message.sender]
                wants = Wants(known.hungry or message.hungry, known.watching or message.watching)
                self._others = {**self._others, message.sender: wants}
            if self._hear is not None:
                self._hear(message)

    def _try_to_lead(self, connection: Connection) -> None:
        if connection.run("lead")[0][0]:
            self.leads = True
        elif connection.run("depose"):
            _log.warning("the manager that led says nothing any more; its lead was ended")

    def _open(self) -> Connection:
        db = connect(self._address, relaxed=True)
        connection = Connection(db)
        db.add_notify_handler(lambda notify: self._listen(notify.payload))  # those beside an answer
        try:
            connection.execute("LISTEN qmanager")
            self._try_to_lead(connection)
            # asked of the server itself: a pooler in between invents another
            self.backend = connection.run("backend")[0][0]
        except BaseException:
            connection.close()
            raise
        return connection

    def _lose(self) -> None:
        self.leads = False
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _come_back(self) -> Connection | None:
        for pause in pauses():
            try:
                return self._open()
            except (StoreError, QueueError):  # the writing connection's thread says why
                if self._closing.wait(pause):
                    break
        return None

    def _wake(self) -> None:
        os.write(self._wake_write, b"!")

    def _close_pipe(self) -> None:
        os.close(self._wake_read)
        os.close(self._wake_write)
