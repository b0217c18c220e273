"""A copy of a store, taken while a manager works.

The pages are read in one snapshot by a connection of its own, some at a time: the manager writes on, only its
log grows meanwhile. The copy appears under its name when it is whole, checked and on the disk.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import apsw

from qm.errors import BadRequest, StoreError
from qm.store.sqlite.check import reading
from qm.store.sqlite.health import damaged
from qm.store.sqlite.lock import sync_folder

#: Pages copied between two words about it: 4 MiB.
_STEP: Final = 1024


def back_up(path: Path, target: Path, on_progress: Callable[[int, int], None]) -> int:
    """Copies the store at `path` to `target`, which must not exist (mode 0600). Gives its size in bytes.

    `on_progress` hears how many pages are copied, of how many. Raises `BadRequest` where `target` exists,
    `StoreError` where it cannot be written, and what `qm.store.sqlite.check` raises for the store.
    """
    if os.path.lexists(target):
        raise BadRequest(f"{target} exists already", hint="give another name, or remove it first")
    part = target.with_name(target.name + ".part")
    try:
        fd = _own(part)
    except OSError as error:
        raise StoreError(f"cannot write the backup {part}: {error.strerror}") from error
    try:
        _copy(path, part, on_progress)
        os.fsync(fd)
        if os.path.lexists(target):
            raise BadRequest(f"{target} exists already", hint="give another name, or remove it first")
        part.rename(target)
        sync_folder(target.parent)
        return os.fstat(fd).st_size
    except (apsw.CorruptError, apsw.NotADBError) as error:
        raise damaged(path, str(error)) from error
    except (OSError, apsw.Error) as error:
        raise StoreError(f"cannot write the backup {target}: {error}") from error
    finally:
        with contextlib.suppress(FileNotFoundError):  # it has its name by now
            part.unlink()
        os.close(fd)


def _own(part: Path) -> int:
    """The unfinished copy, empty; what a killed backup left is written over. Raises `BadRequest` where
    another backup writes it."""
    fd = os.open(part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(fd, 0)
        os.fchmod(fd, 0o600)
    except BaseException as error:
        os.close(fd)
        if isinstance(error, BlockingIOError):
            raise BadRequest(
                f"another backup writes {part}", hint="wait for it, or give another name"
            ) from None
        raise
    return fd


def _copy(path: Path, part: Path, on_progress: Callable[[int, int], None]) -> None:
    copy = apsw.Connection(str(part))
    try:
        copy.execute("PRAGMA synchronous = OFF")  # it is synced as a whole, before it gets its name
        copy.execute("PRAGMA journal_mode = OFF")
        with reading(path) as db, copy.backup("main", db, "main") as backup:
            while not backup.done:
                backup.step(_STEP)
                on_progress(backup.page_count - backup.remaining, backup.page_count)
        found = copy.pragma("quick_check", 1)
        if found != "ok":
            raise damaged(path, str(found).replace("\n", " "))
    finally:
        copy.close()
