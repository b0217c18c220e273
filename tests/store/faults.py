"""A disk that fails when it is told to: SQLite's own calls, with errors in place of some of them."""

from __future__ import annotations

from typing import Any

import apsw


def io_error(code: int) -> apsw.IOError:
    """The error that SQLite gives under this extended code."""
    error = apsw.IOError("injected")
    vars(error)["extendedresult"] = code
    return error


class BadDisk(apsw.VFS):
    """The default VFS with faults. `unregister` ends it."""

    def __init__(self) -> None:
        #: What the next syncs and writes of a kind of file (its SQLITE_OPEN_ flag) meet, while it is set.
        self.fail_syncs = False
        self.fail_writes: type[apsw.Error] | None = None
        self.kind = apsw.SQLITE_OPEN_WAL
        super().__init__("bad", "unix", makedefault=True)

    def xOpen(self, name: Any, flags: Any) -> Any:
        return _BadFile(self, name, flags)


class _BadFile(apsw.VFSFile):
    def __init__(self, disk: BadDisk, name: Any, flags: Any) -> None:
        self._disk = disk
        self._kind = flags[0]
        super().__init__("unix", name, flags)

    def xSync(self, flags: int) -> None:
        if self._disk.fail_syncs and self._kind & self._disk.kind:
            raise io_error(apsw.SQLITE_IOERR_FSYNC)
        super().xSync(flags)

    def xWrite(self, data: Any, offset: int) -> None:
        if self._disk.fail_writes is not None and self._kind & self._disk.kind:
            raise self._disk.fail_writes("injected")
        super().xWrite(data, offset)
