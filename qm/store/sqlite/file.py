"""The store's file: whose it is, who has it open, and which schema it holds."""

from __future__ import annotations

import fcntl
import logging
import os
from pathlib import Path
from typing import Final

import apsw

from qm.errors import StoreBusy, StoreError, StoreForeign, StoreTooNew
from qm.store.sql import migrations

_log = logging.getLogger(__name__)

#: PRAGMA application_id: "qmgr" in ASCII. Tells our files from everybody else's.
APPLICATION_ID: Final = 0x716D6772

#: Page cache of the writing connection in KiB: the hot ends of all indexes of a large queue fit.
_CACHE_KIB: Final = 16384


class FileLock:
    """The right to be the one manager of a file: an flock on `<file>.lock`, gone with the process."""

    def __init__(self, path: Path) -> None:
        """Raises `StoreBusy` where another process holds it, naming that process."""
        self.path = path.with_name(path.name + ".lock")
        self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._fd, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(self._fd)
            raise StoreBusy(
                f"another qmanager (pid {holder}) has the store {path}",
                hint="stop it first, or give this one another --store",
            ) from None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        """Lets the file go. The lock file stays: removing it would race with the next one's open."""
        os.close(self._fd)


def open_writer(path: Path) -> apsw.Connection:
    """The connection that writes. Creates the file (mode 0600) and brings its schema up to date.

    Raises `StoreForeign` for a file that is not ours, `StoreTooNew` for one of a newer qmanager, `StoreError`
    where the file system refuses.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        db = apsw.Connection(str(path))
        _check_identity(db, path)
        db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        db.execute("PRAGMA journal_mode = WAL")
        _migrate(db, path)
    except OSError as error:
        raise StoreError(f"cannot open the store {path}: {error.strerror}") from error
    except apsw.NotADBError as error:
        raise StoreForeign(f"{path} is not an SQLite file", hint="give another --store") from error
    except apsw.CorruptError as error:
        raise StoreForeign(f"{path} is damaged: {error}", hint="restore it from a backup") from error
    except (apsw.CantOpenError, apsw.ReadOnlyError, apsw.IOError) as error:
        raise StoreError(f"cannot open the store {path}: {error}") from error
    return db


def open_reader(path: Path) -> apsw.Connection:
    """A connection that only reads; it sees what was last committed and never holds up the writer."""
    return apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)


def _check_identity(db: apsw.Connection, path: Path) -> None:
    application_id = db.pragma("application_id")
    if application_id == APPLICATION_ID:
        return
    if application_id or db.pragma("page_count"):
        raise StoreForeign(f"{path} belongs to another program", hint="give another --store")
    # auto_vacuum can only be chosen while the file is empty, and journal_mode = WAL writes its first page
    # in one transaction: a power cut between the two would leave a file that looks like another program's
    with db:
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")


def _migrate(db: apsw.Connection, path: Path) -> None:
    steps = migrations("sqlite")
    version = db.pragma("user_version")
    if version > len(steps):
        raise StoreTooNew(
            f"the store {path} has schema {version}, this qmanager knows {len(steps)}",
            hint="install the newer qmanager again, or restore the backup that it made of the older schema",
        )
    if 0 < version < len(steps):
        _keep_copy(db, path, version)
    for step in steps[version:]:
        with db:
            db.execute(step.text)
            db.execute(f"PRAGMA user_version = {step.version}")
        _log.info("store %s: migrated to schema %d (%s)", path, step.version, step.name)


def _keep_copy(db: apsw.Connection, path: Path, version: int) -> None:
    """The way back from a migration is the file as it was."""
    copy = path.with_name(f"{path.name}.bak-v{version}")
    copy.unlink(missing_ok=True)
    db.execute("VACUUM INTO ?", (str(copy),))
    copy.chmod(0o600)
    _log.info("store %s: copied to %s before its schema changes", path, copy)
