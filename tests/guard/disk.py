"""The disk as SQLite uses it, counted: how often it must make things safe, and what the log is told."""

from __future__ import annotations

import threading
from typing import Any

import apsw


class Disk(apsw.VFS):
    """The default VFS, counting. `unregister` ends it."""

    def __init__(self) -> None:
        #: Of all files, by the thread that made this: those that a call waits for.
        self.syncs = 0
        #: By other threads, such as one that checkpoints. How many, the scheduler has a say in.
        self.syncs_beside = 0
        #: To the write-ahead log.
        self.log_writes = 0
        self.log_bytes = 0
        self._thread = threading.get_ident()
        super().__init__("counting", "unix", makedefault=True)

    def xOpen(self, name: Any, flags: Any) -> Any:
        return _File(self, name, flags)

    def note_sync(self) -> None:
        """A file was synced."""
        if threading.get_ident() == self._thread:
            self.syncs += 1
        else:
            self.syncs_beside += 1


class _File(apsw.VFSFile):
    """A file that tells its disk what is done to it."""

    def __init__(self, disk: Disk, name: Any, flags: Any) -> None:
        self._disk = disk
        self._log = bool(flags[0] & apsw.SQLITE_OPEN_WAL)
        super().__init__("unix", name, flags)

    def xSync(self, flags: int) -> None:
        self._disk.note_sync()
        super().xSync(flags)

    def xWrite(self, data: Any, offset: int) -> None:
        if self._log:
            self._disk.log_writes += 1
            self._disk.log_bytes += len(data)
        super().xWrite(data, offset)
