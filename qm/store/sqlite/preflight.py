"""What can be seen of a store's files before SQLite opens them, and that SQLite would not mind.

To SQLite an empty file is a new store, and a log that is not there is an empty log: both are silent ways to
lose what was acknowledged. So the lock file keeps whether the last manager had the store open, and which
file it was.
"""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path
from typing import Final

from qm.errors import StoreDamaged, StoreError, StoreForeign

_log = logging.getLogger(__name__)

#: Bytes of the smallest SQLite file there is.
_LEAST: Final = 512

_RESTORE: Final = "put it back, or restore a backup, see docs/disk.md"


def check_files(path: Path, inode: int | None, made: bool) -> None:
    """Raises `StoreDamaged` where a file of the store at `path` is missing, empty or another one's, and
    `StoreError` where it is no file.

    `inode`: of the file that the last manager had open and did not close, None where it closed it; `made`:
    whether there ever was one that opened it.
    """
    log = path.with_name(path.name + "-wal")
    logged = log.exists() and log.stat().st_size > 0
    try:
        info = path.stat()
    except FileNotFoundError:
        if logged:
            raise StoreDamaged(f"the store {path} is gone, its log {log} is there", hint=_RESTORE) from None
        return
    if not stat.S_ISREG(info.st_mode):
        kind = "a folder" if stat.S_ISDIR(info.st_mode) else "not a file"
        raise StoreError(f"the store {path} is {kind}", hint="give another --store")
    if info.st_size < _LEAST and (logged or made):
        raise StoreDamaged(f"the store {path} is empty, and once was not", hint=_RESTORE)
    if 0 < info.st_size < _LEAST:  # SQLite would begin a new one over it
        raise StoreForeign(f"{path} is not an SQLite file", hint="give another --store")
    if info.st_size >= _LEAST and not logged:
        _refuse_if_cut(path, info.st_size)
    if inode is not None and inode != info.st_ino and logged:
        raise StoreDamaged(
            f"the log {log} belongs to another file than {path}",
            hint=f"remove {log}, if the store was restored from a backup; or {path}.lock, if all files of a "
            "store were copied together",
        )
    if inode == info.st_ino and not log.exists():
        raise StoreDamaged(
            f"the log {log} is missing: what was acknowledged last stood in it",
            hint=f"put it back; or remove {path}.lock, to go on without",
        )
    _warn_of_others(path, info)


def _refuse_if_cut(path: Path, size: int) -> None:
    """SQLite fills a last page that is cut with zeros. Only behind a log may it be so: that has the whole."""
    with path.open("rb") as file:
        head = file.read(18)
    if not head.startswith(b"SQLite format 3\0"):
        return  # SQLite will say it
    page = int.from_bytes(head[16:], "big")
    page = 65536 if page == 1 else page  # two bytes have no room for it
    if page >= _LEAST and size % page:
        raise StoreDamaged(f"the store {path} is damaged: its end is missing", hint=_RESTORE)


def why_not(path: Path, error: OSError) -> StoreError:
    """The error for a file that the system does not let us open."""
    hint = None
    if isinstance(error, PermissionError):
        me, owner = os.geteuid(), _owner(path)
        hint = f"qmanager runs as user {me}" + ("" if owner is None else f", the file is user {owner}'s")
    return StoreError(f"cannot open the store {path}: {error.strerror}", hint=hint)


def _owner(path: Path) -> int | None:
    try:
        return path.stat().st_uid
    except OSError:  # it is in a folder that we cannot enter
        return None


def _warn_of_others(path: Path, info: os.stat_result) -> None:
    if stat.S_IMODE(info.st_mode) & 0o077:
        _log.warning("%s is open to other users; chmod 600 %s", path, path)
