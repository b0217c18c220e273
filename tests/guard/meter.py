"""What work costs a store, in numbers that no busy machine can change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import apsw

from tests.guard.disk import Disk
from tests.guard.statements import name_of


@dataclass(kw_only=True)
class Bill:
    """What some work cost. Numbers that nobody counted are None."""

    #: SQL statements by their names.
    by_name: Counter[str]
    statements: int
    #: That write; a reader's snapshot is none.
    transactions: int
    #: Pages that SQLite asked its cache for: its work, whether they were in memory or not.
    pages: int
    #: That the work waited for.
    syncs: int | None = None
    log_writes: int | None = None
    log_bytes: int | None = None

    def check(self, guards: str, **most: int) -> None:
        """Fails where a number is over what is given here. None may be 0 that should not: then nothing was
        counted, and the guard would sleep."""
        assert most.keys() <= {field.name for field in fields(self)}
        for name, limit in most.items():
            assert_at_most(getattr(self, name), limit, f"{name} ({guards}); it ran {dict(self.by_name)}")


def assert_at_most(counted: int, limit: int, what: str) -> None:
    """The one form of all guards."""
    assert counted <= limit, f"{counted:,} and not at most {limit:,} {what}"
    assert counted > 0 or limit == 0, f"nothing was counted of {what}"


class Meter:
    """Counts on all connections to a file that are opened while it is on; on the disk, if it is given one."""

    def __init__(self, path: Path, disk: Disk | None = None) -> None:
        self._path = path
        self._disk = disk
        #: Those that have run a query. One that only checkpoints belongs to another thread: it is not asked.
        self._asked: set[apsw.Connection] = set()
        self._statements: list[str] = []

    @contextmanager
    def on(self) -> Iterator[None]:
        """Inside, connections that are opened are counted, then and later."""
        apsw.connection_hooks.append(self._watch)
        try:
            yield
        finally:
            apsw.connection_hooks.remove(self._watch)

    def bill(self, work: Callable[[], object]) -> Bill:
        """Does the work, and says what it cost."""
        self._statements.clear()
        pages, disk = self._pages(), self._written()
        work()
        by_name = Counter(map(name_of, self._statements))
        syncs, writes, size = (new - old for new, old in zip(self._written(), disk, strict=True))
        counted = {"syncs": syncs, "log_writes": writes, "log_bytes": size} if self._disk else {}
        return Bill(
            by_name=by_name,
            statements=by_name.total(),
            transactions=by_name["BEGIN IMMEDIATE"],
            pages=self._pages() - pages,
            **counted,
        )

    def _watch(self, db: apsw.Connection) -> None:
        if Path(db.filename) == self._path:
            db.exec_trace = partial(self._note, db)

    def _note(self, db: apsw.Connection, cursor: Any, sql: str, bindings: Any) -> bool:
        self._statements.append(sql)
        if sql[:6].upper() != "PRAGMA":
            self._asked.add(db)
        return True

    def _pages(self) -> int:
        return sum(
            db.status(what)[0]
            for db in self._asked
            for what in (apsw.SQLITE_DBSTATUS_CACHE_HIT, apsw.SQLITE_DBSTATUS_CACHE_MISS)
        )

    def _written(self) -> tuple[int, int, int]:
        disk = self._disk
        return (disk.syncs, disk.log_writes, disk.log_bytes) if disk else (0, 0, 0)
