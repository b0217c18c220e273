"""The real stores, made to fail at the worst moments, and to be found again after a crash."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol
from unittest.mock import patch

from qm.errors import NotCommitted
from qm.store.base import Store
from qm.store.memory import MemoryStore
from qm.store.memory.transaction import MemoryTransaction
from qm.store.sqlite import SQLiteStore, reserve
from qm.store.sqlite.transaction import SQLiteTransaction

#: Bytes that a store keeps back for a full disk: here they would only cost time.
RESERVE: Final = 4096


class ManagerCrash(BaseException):
    """The manager is dead from here on. Nobody but the simulation catches it."""


class Faults:
    """What happens to the next commit. The manager sets it before a call."""

    def __init__(self) -> None:
        self.refuse = False
        #: The manager dies before the commit that makes this zero, or after it.
        self.die_before = 0
        self.die_after = 0
        #: How many commits have held.
        self.commits = 0

    def clear(self) -> None:
        """Nothing happens."""
        self.refuse, self.die_before, self.die_after = False, 0, 0

    def before(self) -> None:
        """The work is done, the commit comes."""
        if self.refuse:
            self.refuse = False
            raise NotCommitted("the disk is full", hint="try again")
        self.die_before -= 1
        if self.die_before == 0:
            raise ManagerCrash

    def after(self) -> None:
        """The commit has held; nobody has been told."""
        self.commits += 1
        self.die_after -= 1
        if self.die_after == 0:
            raise ManagerCrash


class FaultyMemory(MemoryStore):
    """The store in memory, with faults."""

    def __init__(self, faults: Faults) -> None:
        super().__init__()
        self._faults = faults

    @contextmanager
    def begin(self, *, sync: bool = True) -> Iterator[MemoryTransaction]:
        with super().begin(sync=sync) as tx:
            yield tx
            self._faults.before()
        self._faults.after()


class FaultySQLite(SQLiteStore):
    """The store in a file, with faults."""

    faults: Faults

    @contextmanager
    def begin(self, *, sync: bool = True) -> Iterator[SQLiteTransaction]:  # type: ignore[override]
        with super().begin(sync=sync) as tx:
            yield tx
            self.faults.before()
        self.faults.after()


class Storehouse(Protocol):
    """Where a manager finds its store."""

    faults: Faults

    def open(self) -> Store:
        """The store as a manager finds it that starts."""

    def crash(self) -> None:
        """The process that had it open is gone, from one moment to the next."""

    def close(self) -> None:
        """Nobody needs it any more."""


class InMemory:
    """Keeps one memory store over the manager's lives: the tables are the disk here."""

    def __init__(self, make: Callable[[Faults], MemoryStore] = FaultyMemory) -> None:
        self.faults = Faults()
        self._store = make(self.faults)

    def open(self) -> Store:
        return self._store

    def crash(self) -> None:
        """Its transaction is rolled back by then, as a file's would be when it is opened."""

    def close(self) -> None:
        self._store.close()


class InFile:
    """A file, and its log, in a folder. After a crash the next life finds a copy of both as they were at that
    moment, log and all: closing the file would tidy up, which a killed process does not do."""

    def __init__(self, folder: Path) -> None:
        self.faults = Faults()
        self._folder = folder
        self._lives = 0
        self._store: FaultySQLite | None = None

    def open(self) -> Store:
        with patch.object(reserve, "SIZE", RESERVE):
            store = FaultySQLite.open(self._path, durability="relaxed")
        assert isinstance(store, FaultySQLite)
        store.faults = self.faults
        self._store = store
        return store

    def crash(self) -> None:
        old = self._path
        self._lives += 1
        for end in ("", "-wal"):
            if (source := old.with_name(old.name + end)).exists():
                shutil.copyfile(source, self._path.with_name(self._path.name + end))
        self._discard(old)

    def close(self) -> None:
        self._discard(self._path)

    @property
    def _path(self) -> Path:
        return self._folder / f"life-{self._lives}.db"

    def _discard(self, path: Path) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None
        for end in ("", "-wal", "-shm", ".lock", ".reserve"):
            path.with_name(path.name + end).unlink(missing_ok=True)
