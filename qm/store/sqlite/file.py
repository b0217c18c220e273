"""The store's file: whether it is ours and whole, and which schema it holds."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Final

import apsw

from qm.errors import DiskFull, StoreError, StoreForeign
from qm.store.sql import migrations
from qm.store.sql.unready import too_old
from qm.store.sqlite.health import damaged, is_full
from qm.store.sqlite.preflight import why_not
from qm.store.sqlite.schema import migrate, refuse_unfinished, strange_tables

_log = logging.getLogger(__name__)

#: PRAGMA application_id: "qmgr" in ASCII. Tells our files from everybody else's.
APPLICATION_ID: Final = 0x716D6772

#: Page cache of the writing connection in KiB: the hot ends of all indexes of a large queue fit.
_CACHE_KIB: Final = 16384

#: Bytes of a file that is looked through when it is opened: 0.3 s from memory, some 1.5 s from a disk. A
#: larger one is left to `qmanager check`; what is damaged in it is met when it is read, and ends the manager.
_LOOK_MAX: Final = 64 << 20


def open_writer(path: Path, *, may_migrate: bool = True, unfinished: bool = False) -> apsw.Connection:
    """The connection that writes. Creates the file (mode 0600) and brings its schema up to date.

    `may_migrate` False: raises `StoreTooOld` instead. `unfinished`: it may be a copy that is not whole.
    Raises `StoreForeign` for a file that is not ours or damaged, `StoreTooNew` for one of a newer qmanager,
    `DiskFull` where there is no space for that, `StoreError` where the file system refuses.
    """
    db = None
    try:
        if not may_migrate and not path.exists():
            raise too_old(f"sqlite:{path}", migrations("sqlite"))
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        db = apsw.Connection(str(path))
        # where it is refused its log stays: the next one would miss it
        db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        _check_identity(db, path)
        if not unfinished:
            refuse_unfinished(db, path)
        _check_pages(db, path)
        db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        db.execute("PRAGMA journal_mode = WAL")
        _move_log(db)
        migrate(db, path, allowed=may_migrate)
        if strange := strange_tables(db):
            raise damaged(path, f"its tables are not ours: {', '.join(strange)}")
        db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)
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
