"""Who has a store's file, and whether its last owner closed it."""

from __future__ import annotations

import fcntl
import logging
import os
from pathlib import Path

from qm.errors import StoreBusy

_log = logging.getLogger(__name__)


class FileLock:
    """The right to be the one manager of a file: an flock on `<file>.lock`, gone with the process."""

    def __init__(self, path: Path) -> None:
        """Raises `StoreBusy` where another process holds it, naming that process. The file also keeps whether
        the store was closed; see `qm.store.sqlite.preflight`."""
        self._store = path
        self.path = path.with_name(path.name + ".lock")
        self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = (self._read() or ["unknown"])[0]
            os.close(self._fd)
            raise StoreBusy(
                f"another qmanager (pid {holder}) has the store {path}",
                hint="stop it first, or give this one another --store",
            ) from None
        said = self._read()[1:]
        #: Whether there was a store, and the inode of the file if it was not closed.
        self.made = bool(said)
        self.inode = int(said[0]) if said and said[0].isdecimal() else None
        self._write(*said)

    def note_opened(self) -> None:
        """From here on there is a log beside the file. It is on the disk before that is said."""
        sync_folder(self._store.parent)
        self._write(str(self._store.stat().st_ino))

    def note_closing(self) -> bool:
        """From here on the log may be missing. Gives whether that is on the disk, as it must be first."""
        try:
            self._write("closed")
            os.fsync(self._fd)
        except OSError as error:
            _log.error(
                "the log of %s stays: %s cannot be written: %s", self._store, self.path, error.strerror
            )
            return False
        return True

    def release(self) -> None:
        """Lets the file go. The lock file stays: removing it would race with the next one's open."""
        os.close(self._fd)

    def _read(self) -> list[str]:
        return os.pread(self._fd, 64, 0).decode("ascii", "replace").split()

    def _write(self, *said: str) -> None:
        text = " ".join([str(os.getpid()), *said]).encode()
        os.pwrite(self._fd, text, 0)
        os.ftruncate(self._fd, len(text))


def sync_folder(folder: Path) -> None:
    """What was made, renamed or removed in `folder` is on the disk when this returns."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
