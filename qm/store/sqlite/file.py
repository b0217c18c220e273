"""The store's file: whether it is ours and whole, and which schema it holds."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Final

import apsw

from qm.errors import DiskFull, StoreError, StoreForeign, StoreTooNew
from qm.store.sql import migrations
from qm.store.sqlite.health import damaged, is_full
from qm.store.sqlite.preflight import why_not
from qm.store.sqlite.schema import strange_tables

_log = logging.getLogger(__name__)

#: PRAGMA application_id: "qmgr" in ASCII. Tells our files from everybody else's.
APPLICATION_ID: Final = 0x716D6772

#: Page cache of the writing connection in KiB: the hot ends of all indexes of a large queue fit.
_CACHE_KIB: Final = 16384

#: Bytes of a file that is looked through when it is opened: 0.3 s from memory, some 1.5 s from a disk. A
#: larger one is left to `qmanager check`; what is damaged in it is met when it is read, and ends the manager.
_LOOK_MAX: Final = 64 << 20


def open_writer(path: Path) -> apsw.Connection:
    """The connection that writes. Creates the file (mode 0600) and brings its schema up to date.

    Raises `StoreForeign` for a file that is not ours or damaged, `StoreTooNew` for one of a newer qmanager,
    `DiskFull` where there is no space for that, `StoreError` where the file system refuses.
    """
    db = None
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        db = apsw.Connection(str(path))
        _check_identity(db, path)
        _check_pages(db, path)
        db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        db.execute("PRAGMA journal_mode = WAL")
        _move_log(db)
        _migrate(db, path)
        if strange := strange_tables(db):
            raise damaged(path, f"its tables are not ours: {', '.join(strange)}")
    except OSError as error:
        raise why_not(path, error) from error
    except apsw.NotADBError as error:
        raise StoreForeign(f"{path} is not an SQLite file", hint="give another --store") from error
    except apsw.CorruptError as error:
        raise damaged(path, str(error)) from error
    except apsw.SQLError as error:  # its tables are not those of the schema that it says it has
        raise damaged(path, str(error)) from error
    except apsw.Error as error:
        if is_full(error, db.system_errno if db else 0):
            raise DiskFull(f"cannot open the store {path}: {error}", hint="make space on its disk") from error
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
    # auto_vacuum can only be chosen while the file is empty, and journal_mode = WAL writes its first page. In
    # one transaction: a power cut between the two would leave a file that looks like another program's
    with db:
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")


def _check_pages(db: apsw.Connection, path: Path) -> None:
    """Raises `StoreForeign` where the file's trees do not hold together: pages of zeros, a cut end."""
    if path.stat().st_size > _LOOK_MAX:
        _log.info("store %s: too large to be looked through at every start; qmanager check does it", path)
        return
    found = db.pragma("quick_check", 1)
    if found != "ok":
        raise damaged(path, str(found).replace("\n", " "))


def _move_log(db: apsw.Connection) -> None:
    """Moves what a killed manager left in the log into the file, before anything is built on it. Where a sync
    of the log had failed, the system would call the next one good; pages written anew it is honest about."""
    db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)


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
