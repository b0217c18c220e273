"""What the disk has done to the store: whether it is full, and whether it can still be believed.

A full disk passes: what did not fit was not stored, and results have a reserve. Every other error of the disk
is the end. After a sync that failed, the system may have dropped what it could not write and says that the
next sync went well, so that nothing could be acknowledged honestly any more. A restart reads what is there.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

import apsw

from qm.errors import Draining, NotCommitted, StoreDamaged, StoreError
from qm.store.sqlite.reserve import NO_SPACE, Reserve

_log = logging.getLogger(__name__)

#: Hears once why the store cannot be used any more, in whichever thread found it out.
OnBroken: TypeAlias = Callable[[StoreError], None]

#: What to do about a damaged file.
DAMAGE_HINT: Final = "qmanager check says what is wrong; restore the file from a backup, see docs/disk.md"


#: Errors that say nothing about what was written: the one call fails, and the store stays good.
_PASSING: Final = frozenset({apsw.SQLITE_IOERR_READ, apsw.SQLITE_IOERR_NOMEM, apsw.SQLITE_IOERR_SHMOPEN})


class Health:
    """Judges the errors of all connections to one file. Thread-safe."""

    def __init__(self, path: Path, reserve: Reserve, on_broken: OnBroken | None = None) -> None:
        self.reserve = reserve
        #: Why the store cannot be used any more; None: it can.
        self.broken: StoreError | None = None
        self._path = path
        self._on_broken = on_broken
        self._lock = threading.Lock()

    def listen(self, on_broken: OnBroken) -> None:
        """Has `on_broken` told, at once where the store is broken already."""
        with self._lock:
            self._on_broken = on_broken
            broken = self.broken
        if broken is not None:
            on_broken(broken)

    def check(self) -> None:
        """Raises `Draining` once the store is broken: the next manager answers."""
        if self.broken is not None:
            raise Draining(f"the manager is stopping: {self.broken}", hint="try again when it is back")

    def judge(self, error: apsw.Error, number: int = 0) -> Exception:
        """Notes what an error means, and gives the one for the caller: `NotCommitted` where the disk is full
        or broken, `StoreError` where only this call failed, `error` itself where it is a bug of ours.
        `number` is the system's errno, 0 where it is not known."""
        if is_full(error, number):
            with self._lock:
                self.reserve.spend()
            return NotCommitted("the disk of the store is full", hint="try again; results are still taken")
        if isinstance(error, (apsw.CorruptError, apsw.NotADBError)):
            return self._break(damaged(self._path, str(error)))
        if isinstance(error, (apsw.BusyError, apsw.LockedError)):
            return NotCommitted(f"another program holds the store: {error}", hint="try again")
        code = getattr(error, "extendedresult", 0)
        if isinstance(error, (apsw.CantOpenError, apsw.NoMemError)) or code in _PASSING:
            return StoreError(f"the store could not be read: {error}")
        if isinstance(error, (apsw.IOError, apsw.ReadOnlyError)):  # read-only: it was moved away, mostly
            hint = "look after the disk, then start qmanager again: what was acknowledged is there"
            return self._break(StoreError(f"the disk of {self._path} failed: {error}", hint=hint))
        return error

    def fail(self, why: str) -> None:
        """The store cannot be used any more, for another reason than an error that `judge` knows."""
        self._break(StoreError(f"the store {self._path} failed: {why}", hint="start qmanager again"))

    def _break(self, why: StoreError) -> NotCommitted:
        with self._lock:
            first = self.broken is None
            if first:
                self.broken = why
        if first:
            _log.critical("%s; nothing is acknowledged any more", why)
            if self._on_broken is not None:
                self._on_broken(why)
        return NotCommitted(f"the store failed: {why}", hint="try again when the manager is back")


def damaged(path: Path, why: str) -> StoreDamaged:
    """The error for a file that does not hold what it should."""
    return StoreDamaged(f"the store {path} is damaged: {why}", hint=DAMAGE_HINT)


def is_full(error: apsw.Error, number: int = 0) -> bool:
    """Whether an error means that there is no space. `number` as in `Health.judge`."""
    if isinstance(error, apsw.FullError):
        return True
    extended = getattr(error, "extendedresult", 0)
    # the index of the log is grown by writing to it, and any failure of that has a code of its own
    return isinstance(error, apsw.IOError) and (extended == apsw.SQLITE_IOERR_SHMSIZE or number in NO_SPACE)
