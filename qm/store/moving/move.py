"""The copy from its beginning to its end; see `qm.store.moving`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import chain
from types import TracebackType
from typing import Final, NamedTuple, TypeAlias

from qm.errors import BadRequest, StoreDamaged
from qm.store import file_of, is_postgres, wanting_psycopg
from qm.store.moving.checksum import Checksum, Fit, checksum
from qm.store.moving.ends import Row, Source, Target
from qm.store.moving.tables import COPIED, Table
from qm.store.sql.unready import Mark

#: Rows of a chunk, and bytes of their payloads: a fraction of a second of work, and little to do again.
_ROWS: Final = 10_000
_BYTES: Final = 16 << 20

#: Each row is copied, and read once at both ends to be compared.
_PASSES: Final = 3

#: Hears what is done, in words, and how many rows of `Move.total` are.
OnProgress: TypeAlias = Callable[[str, int], None]


class Report(NamedTuple):
    """What is in the target now, by table. `altered`: texts with a NUL, which it keeps with a sign for it."""

    tables: dict[str, Checksum]
    altered: int


class Move:
    """A copy. Both stores are locked between `with` and its end, also where it fails."""

    def __init__(
        self, source: str, target: str, *, now: float, anew: bool = False, rows: int = _ROWS
    ) -> None:
        """`source` and `target` are URLs, `now` the time in seconds. `anew`: what an unfinished copy has in
        the target is thrown away. `rows`: of a chunk."""
        self._source_url, self._target_url = source, target
        self._now, self._anew, self._rows = now, anew, rows
        self._sizes: dict[str, int] = {}
        self._done = 0
        self._on_progress: OnProgress = lambda note, done: None

    def __enter__(self) -> Move:
        """Opens both ends, and marks the target.

        Raises `BadRequest` where the target is not empty, or the unfinished copy of something else;
        `StoreBusy` where a manager has one of the two, and whatever they raise when they are opened.
        """
        with ExitStack() as undo:
            self.source = _open_source(self._source_url)
            undo.callback(self.source.close)
            self.target = _open_target(self._target_url, self.source)
            undo.callback(self.target.close)
            self._sizes = {table.name: self.source.size(table) for table in COPIED}
            self._agree()
            self._close = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close.close()

    @property
    def total(self) -> int:
        """What there is to do, in rows."""
        return _PASSES * sum(self._sizes.values())

    def run(self, on_progress: OnProgress) -> Report:
        """Copies what is not there yet, compares, and lets managers in.

        Raises `StoreDamaged` where the two are not the same in the end, and `StoreError` where an end cannot
        go on; the copy can be said again then.
        """
        self._on_progress = on_progress
        for table in COPIED:
            self._copy(table)
        self.target.settle(self.source.number())
        fit = Fit(keeps_nul=self.target.keeps_nul)
        tables = {table.name: self._compare(table, fit) for table in COPIED}
        self._compare_counts()
        self.target.finish()
        return Report(tables, fit.altered)

    def _agree(self) -> None:
        """The target is marked as a copy of this source as it is now."""
        mark = self.target.mark()
        if mark is not None and self._anew:
            self.target.clear()
            mark = None
        wanted = Mark(self.source.shown, self._now, self.source.number(), self._sizes)
        if mark is None:
            self._refuse_full()
            self.target.begin(wanted)
        elif mark.source != wanted.source:
            raise BadRequest(
                f"{self.target.shown} is the unfinished copy of {mark.source}, not of {wanted.source}",
                hint="name that one, or begin from the start by --anew",
            )
        elif (mark.number, mark.rows) != (wanted.number, wanted.rows):
            raise BadRequest(
                f"{self.source.shown} has changed since its copy was begun",
                hint="begin from the start by --anew",
            )

    def _refuse_full(self) -> None:
        for table in COPIED:
            if number := self.target.size(table):
                raise BadRequest(
                    f"the target {self.target.shown} is not empty: {number:,} rows in {table.name}",
                    hint="give a new file, or a database without the schema qmanager",
                )

    def _copy(self, table: Table) -> None:
        last = self.target.last(table)
        there = self.target.size(table) if last else 0
        self._note("copying", table, there, there)
        rows = Fit(keeps_nul=self.target.keeps_nul).rows(table, self.source.rows(table, last))
        for chunk in _chunks(table, rows, self._rows):
            copied = self.target.append(table, chunk)
            there += copied
            self._note("copying", table, there, copied)

    def _compare(self, table: Table, fit: Fit) -> Checksum:
        """The checksum of both ends. Raises `StoreDamaged` where they differ."""
        read = 0

        def on_rows(rows: int) -> None:
            nonlocal read
            read += rows
            self._note("comparing", table, min(read, self._sizes[table.name]), rows)

        here = checksum(fit.rows(table, self.source.rows(table)), on_rows)
        read = 0
        there = checksum(self.target.rows(table), on_rows)
        if here != there:
            raise self._differs(f"the table {table.name} ({here.rows:,} rows and {there.rows:,})")
        return here

    def _compare_counts(self) -> None:
        counts = self.source.count()
        for found in (self.target.count(), self.target.kept_counts()):
            if found != counts:
                wrong = sorted({key for key, _ in counts.items() ^ found.items()})
                raise self._differs("the counts of " + ", ".join(" ".join(key) for key in wrong))

    def _differs(self, what: str) -> StoreDamaged:
        return StoreDamaged(
            f"the copy {self.target.shown} is not what {self.source.shown} has: {what}",
            hint="it may have been changed meanwhile, or damaged on the way: begin from the start by --anew",
        )

    def _note(self, doing: str, table: Table, rows: int, more: int) -> None:
        self._done += more
        self._on_progress(f"{doing} {table.name}: {rows:,} of {self._sizes[table.name]:,} rows", self._done)


def _open_source(url: str) -> Source:
    if is_postgres(url):
        with wanting_psycopg():
            from qm.store.moving.postgres import PostgresSource
        return PostgresSource(url)
    from qm.store.moving.sqlite import SQLiteSource

    return SQLiteSource(file_of(url))


def _open_target(url: str, source: Source) -> Target:
    if is_postgres(url):
        with wanting_psycopg():
            from qm.store.moving.postgres import PostgresTarget
            from qm.store.postgres.address import Address
        _refuse_same(str(Address(url)), source)
        return PostgresTarget(url)
    from qm.store.moving.sqlite import SQLiteTarget

    path = file_of(url)
    _refuse_same(f"sqlite:{path.resolve()}", source)
    return SQLiteTarget(path)


def _refuse_same(shown: str, source: Source) -> None:
    if shown == source.shown:
        raise BadRequest(f"{shown} cannot be copied to itself", hint="give another TARGET")


def _chunks(table: Table, rows: Iterator[Row], most: int) -> Iterator[Iterator[Row]]:
    """`rows` in parts, each to be read to its end before the next."""
    for first in rows:
        yield _chunk(table, chain([first], rows), most)


def _chunk(table: Table, rows: Iterator[Row], most: int) -> Iterator[Row]:
    size = 0
    for number, row in enumerate(rows, 1):
        yield row
        for place in table.payload_places:
            size += len(row[place] or b"")
        if number >= most or size >= _BYTES:
            return
