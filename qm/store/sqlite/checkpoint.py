"""Moves the write-ahead log into the file, on a connection and a thread of its own.

SQLite would do it inside some unlucky commit, every thousand pages: measured, that made the mean commit cost
three times the median. Here commits only append; this thread writes the pages to their places and syncs,
beside them.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Final

import apsw

from qm.store.sqlite.health import Health

_log = logging.getLogger(__name__)

#: Pages that were not moved yet, after which they are: 4 MiB, as SQLite itself would.
_ENOUGH: Final = 1000

#: Pages in the log after which writers pause for it. While commits keep coming, its last pages are always too
#: new to be moved, and it can only begin anew when all are: so the rest is moved under the writers' turn.
_MUCH: Final = 4 * _ENOUGH


class Checkpointer(threading.Thread):
    """The thread. `turn` is the lock that writers hold."""

    def __init__(self, path: Path, turn: threading.Lock, health: Health) -> None:
        super().__init__(name="checkpoint", daemon=True)
        self._db = apsw.Connection(str(path))
        self._db.pragma("journal_mode")  # a connection that has read nothing yet does not know of the log
        self._turn = turn
        self._health = health
        self._failing = False
        self._pages = 0
        #: How often the log began anew, and the pages moved of it, with the log that the number is of: a move
        #: that ends when the next log has begun says nothing about that one.
        self._logs = 0
        self._moved = (0, 0)
        self._wanted = threading.Event()
        self._stopped = False

    def watch(self, writer: apsw.Connection) -> None:
        """Hears of every commit of `writer`, whose own checkpoints end."""
        writer.execute("PRAGMA wal_autocheckpoint = 0")
        writer.set_wal_hook(self._committed)

    def run(self) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()
            if self._stopped:
                return
            if self._health.broken is not None:  # what we would move may not be what the disk has
                continue
            try:
                self._move()
                self._failing = False
            except apsw.Error as error:  # the log stays, and nothing is lost: it is tried at the next commit
                self._judge(error)
                if not self._failing:  # with a full disk, that is again and again
                    _log.error("the log could not be moved into the store's file: %s", error)
                self._failing = True

    def stop(self) -> None:
        """Ends the thread."""
        self._stopped = True
        self._wanted.set()
        if self.is_alive():
            self.join()
        self._db.close()

    def _judge(self, error: apsw.Error) -> None:
        """A write that failed is done again with the next move; a sync that failed is never made good."""
        code = getattr(error, "extendedresult", 0)
        if not isinstance(error, apsw.IOError) or code == apsw.SQLITE_IOERR_FSYNC:
            self._health.judge(error)

    def _move(self) -> None:
        self._move_pages()
        if self._pages >= _MUCH:
            with self._turn:
                self._move_pages()

    def _move_pages(self) -> None:
        log = self._logs
        _, moved = self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        self._moved = (log, moved)

    def _committed(self, db: apsw.Connection, name: str, pages: int) -> int:
        if pages < self._pages:
            self._logs += 1
        self._pages = pages
        log, moved = self._moved
        if pages - (moved if log == self._logs else 0) >= _ENOUGH:
            self._wanted.set()
        return apsw.SQLITE_OK
