"""A store that moved is the store that it was."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from qm.errors import BadRequest, StoreBusy, StoreDamaged, StoreError, StoreTooNew, StoreTooOld
from qm.messages import AddStatus, Finish, Verdict
from qm.store import open_store
from qm.store.base import Store
from qm.store.moving import Move, Report, move
from qm.store.moving.tables import COPIED
from qm.store.sqlite import SQLiteStore
from qm.store.sqlite.check import check_file
from qm.task import State
from qm.testing.contract.samples import DAY, HOUR, NOW, SLOT, attached, counts, new
from tests.postgres import want_postgres
from tests.store.moving.furniture import NULS, furnish, furnish_rest
from tests.store.moving.places import Place, without_nul

ROUTES = [
    ("sqlite", "postgres"),
    ("postgres", "sqlite"),
    ("sqlite", "sqlite"),
    ("postgres", "postgres"),
]

Empty = Callable[[str], Place]


class Stop(Exception):
    """The copy is killed."""


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Empty]:
    """Makes places without a store, by dialect."""
    with ExitStack() as stack:

        def make(dialect: str) -> Place:
            if dialect == "sqlite":
                return Place(tmp_path / f"target-{len([*tmp_path.iterdir()])}.db")
            return Place(stack.enter_context(want_postgres().database()))

        yield make


@pytest.fixture
def house(tmp_path: Path) -> Place:
    """A file with something in every table and column."""
    path = tmp_path / "house.db"
    with closing(SQLiteStore.open(path)) as store:
        furnish(store)
    furnish_rest(path)
    return Place(path)


def moved(source: Place, target: Place, *, anew: bool = False, rows: int = 7) -> Report:
    """Copies in small chunks."""
    with Move(source.url, target.url, now=NOW, anew=anew, rows=rows) as one:
        return one.run(lambda note, done: None)


def stopped(source: Place, target: Place, call: int, rows: int = 7) -> bool:
    """Copies, and is killed when it says its progress for the `call`th time. Gives whether it was."""
    calls = 0

    def stop(note: str, done: int) -> None:
        nonlocal calls
        calls += 1
        if calls == call:
            raise Stop

    try:
        with Move(source.url, target.url, now=NOW, rows=rows) as one:
            one.run(stop)
    except Stop:
        return True
    return False


def test_the_house_has_something_in_every_column_and_state(house: Place) -> None:
    contents = house.contents()
    bare = [
        (table.name, column)
        for table in COPIED
        for place, column in enumerate(table.columns)
        if all(row[place] is None for row in contents[table.name])
    ]
    assert bare == []
    assert {state for (state,) in house.say("SELECT DISTINCT state FROM tasks")} == set(State)


@pytest.mark.parametrize(("source", "target"), ROUTES)
def test_every_row_is_the_same_there(house: Place, empty: Empty, source: str, target: str) -> None:
    start = house
    if source == "postgres":
        start = empty("postgres")
        moved(house, start)
    there = empty(target)
    before = start.contents()
    report = moved(start, there)
    assert there.contents() == (before if there.keeps_nul else without_nul(before))
    assert start.contents() == before
    assert {name: rows for name, (rows, _) in report.tables.items()} == {
        name: len(rows) for name, rows in before.items()
    }
    if isinstance(there.where, Path):
        assert [*check_file(there.where)] == []


@pytest.mark.parametrize("target", ["sqlite", "postgres"])
def test_it_goes_on_there_as_if_nothing_had_been(house: Place, empty: Empty, target: str) -> None:
    there = empty(target)
    moved(house, there)
    with closing(open_store(house.url)) as old, closing(open_store(there.url)) as store:
        assert counts(store) == counts(old)
        assert [worker.session for worker in store.sessions()] == ["quiet", SLOT.session]
        held, also = [held.lease for held in store.held(SLOT)]
        assert store.finish([Finish(held, b"\xc3")], NOW, DAY) == [Verdict.ACCEPTED], "its lease holds"
        assert [lease for _, lease in store.cancelling()] == [also], "who runs it hears that it is cancelled"
        assert store.add([new("plain-0")], NOW) == [AddStatus.DUPLICATE], "a forgotten id is known"
        late = [new("plain-5"), new("late", priority=1)]
        for one in (old, store):
            assert one.add(late, NOW) == [AddStatus.DUPLICATE, AddStatus.CREATED]
            assert one.promote(NOW + HOUR, 9) == {"mail": 2}
        assert _order(store) == _order(old)


def _order(store: Store) -> list[str]:
    attached(store)
    return [taken.id for _ in range(9) for taken in store.take(SLOT, ["mail"], 9, NOW, HOUR)]


def test_texts_with_nul_are_counted_where_they_are_not_kept(house: Place, empty: Empty) -> None:
    same, other = moved(house, empty("sqlite")), moved(house, empty("postgres"))
    assert (same.altered, other.altered) == (0, NULS)
    differing = {name for name in same.tables if same.tables[name] != other.tables[name]}
    assert differing == {"tasks", "details"}, "the checksum does not hide what was altered"


@pytest.mark.parametrize("target", ["sqlite", "postgres"])
def test_numbers_go_on_behind_the_last(house: Place, empty: Empty, target: str) -> None:
    (last,) = house.say("SELECT reserved FROM numbers")[0]
    there = empty(target)
    moved(house, there)
    with closing(open_store(there.url)) as store:
        store.add([new("late")], NOW)
    assert there.say("SELECT n FROM tasks WHERE id = 'late'")[0][0] > last


@pytest.mark.parametrize("target", ["sqlite", "postgres"])
def test_an_empty_store_moves_too(tmp_path: Path, empty: Empty, target: str) -> None:
    source, there = Place(tmp_path / "a.db"), empty(target)
    SQLiteStore.open(tmp_path / "a.db").close()
    assert sum(rows for rows, _ in moved(source, there).tables.values()) == 0
    with closing(open_store(there.url)) as store:
        assert store.add([new("a")], NOW) == [AddStatus.CREATED]


@pytest.mark.parametrize("target", ["sqlite", "postgres"])
def test_a_copy_that_is_stopped_again_and_again_goes_on(house: Place, empty: Empty, target: str) -> None:
    there = empty(target)
    call = 1
    while stopped(house, there, call):
        call += 1
        with pytest.raises(
            StoreDamaged, match=r"unfinished copy of sqlite:.*house\.db, begun 2023-11-14"
        ) as raised:
            open_store(there.url)
        assert "--anew" in (raised.value.hint or "")
    assert call > 20
    assert there.contents() == (house.contents() if there.keeps_nul else without_nul(house.contents()))
    open_store(there.url).close()


@pytest.mark.parametrize("target", ["sqlite", "postgres"])
def test_rows_that_are_there_are_not_copied_again(house: Place, empty: Empty, target: str) -> None:
    there = empty(target)
    assert stopped(house, there, 4)
    rows = len(there.contents()["tasks"])
    assert 0 < rows < len(house.contents()["tasks"])
    noted: list[tuple[str, int]] = []
    with Move(house.url, there.url, now=NOW) as one:
        one.run(lambda note, done: noted.append((note, done)))
        assert noted[0][1] == rows
        assert noted[-1][1] == one.total


def test_a_backup_of_half_a_copy_is_refused(house: Place, empty: Empty) -> None:
    there = empty("sqlite")
    assert stopped(house, there, 4)
    assert isinstance(there.where, Path)
    with pytest.raises(StoreDamaged, match="unfinished copy"):
        [*check_file(there.where)]
    with pytest.raises(StoreDamaged, match="unfinished copy"):
        moved(there, empty("sqlite"))


@pytest.mark.parametrize("target", ["sqlite", "postgres"])
def test_what_is_in_a_target_is_not_touched(house: Place, empty: Empty, target: str) -> None:
    there = empty(target)
    with closing(open_store(there.url)) as store:
        store.add([new("precious")], NOW)
    for anew in (False, True):
        with pytest.raises(BadRequest, match="is not empty: 1 rows in tasks"):
            moved(house, there, anew=anew)
    with closing(open_store(there.url)) as store:
        assert counts(store) == {"mail": {State.WAITING: 1}}


@pytest.mark.parametrize("target", ["sqlite", "postgres"])
def test_half_a_copy_is_finished_from_its_own_source_as_it_was(
    house: Place, tmp_path: Path, empty: Empty, target: str
) -> None:
    there, other = empty(target), Place(tmp_path / "other.db")
    shutil.copy(tmp_path / "house.db", tmp_path / "other.db")
    assert stopped(house, there, 4)
    with pytest.raises(BadRequest, match=r"copy of sqlite:.*house\.db, not of sqlite:.*other\.db"):
        moved(other, there)
    with closing(open_store(house.url)) as store:
        store.add([new("meanwhile")], NOW)
    with pytest.raises(BadRequest, match=r"house\.db has changed since its copy was begun"):
        moved(house, there)
    moved(house, there, anew=True)
    assert there.contents() == (house.contents() if there.keeps_nul else without_nul(house.contents()))
    open_store(there.url).close()


@pytest.mark.parametrize(("source", "target"), ROUTES[:2])
def test_no_manager_may_run_on_either_end(house: Place, empty: Empty, source: str, target: str) -> None:
    start, there = empty(source), empty(target)
    moved(house, start)
    with closing(open_store(start.url)), pytest.raises(StoreBusy):
        moved(start, there)
    with closing(open_store(there.url)), pytest.raises(StoreBusy):
        moved(start, there)
    with Move(start.url, there.url, now=NOW):
        for end in (start, there):
            with pytest.raises(StoreBusy):
                open_store(end.url)
    moved(start, there)


SPOILT = [
    ("tasks", "UPDATE tasks SET seq = seq + 1 WHERE n = (SELECT max(n) FROM tasks)"),
    ("inputs", "UPDATE inputs SET n = n + 1000"),
    ("outputs", "UPDATE outputs SET n = n + 1000"),
    ("attempts", "UPDATE attempts SET lease = lease + 1"),
    ("details", "UPDATE details SET pid = NULL"),
    ("tombstones", "UPDATE tombstones SET until = until + 0.001"),
    ("types", "INSERT INTO types (type) VALUES ('new')"),
    ("sessions", "UPDATE sessions SET host = 'another'"),
    ("the counts of mail done", "UPDATE counts SET tasks = tasks + 1 WHERE type = 'mail' AND state = 'done'"),
]


@pytest.mark.parametrize(("what", "sql"), SPOILT, ids=[what for what, _ in SPOILT])
@pytest.mark.parametrize("target", ["sqlite", "postgres"])
def test_a_difference_is_found(house: Place, empty: Empty, target: str, what: str, sql: str) -> None:
    there = empty(target)

    def spoil(note: str, done: int) -> None:
        if note.startswith("comparing"):
            there.say(sql)
            raise Stop

    with pytest.raises(Stop), Move(house.url, there.url, now=NOW) as one:
        one.run(spoil)
    with (
        pytest.raises(StoreDamaged, match=f"is not what .* has: .*{what}"),
        Move(house.url, there.url, now=NOW) as one,
    ):
        one.target.settle = lambda number: None  # type: ignore[method-assign]
        one.run(lambda note, done: None)
    with pytest.raises(StoreDamaged, match="unfinished copy"):
        open_store(there.url)


def test_a_source_of_before_is_to_be_migrated_first(tmp_path: Path, empty: Empty) -> None:
    old = Place(tmp_path / "old.db")
    SQLiteStore.open(tmp_path / "old.db").close()
    old.say("PRAGMA user_version = 1")
    with pytest.raises(StoreTooOld, match="misses a migration: 0002") as raised:
        moved(old, empty("postgres"))
    assert "qmanager migrate --store sqlite:" in (raised.value.hint or "")


def test_a_schema_that_is_newer_is_not_copied_even_where_it_works(house: Place, empty: Empty) -> None:
    there = empty("postgres")
    moved(house, there)
    there.say("INSERT INTO migrations (version, name, oldest) VALUES (900, 'more', 1)")
    open_store(there.url).close()
    with pytest.raises(StoreTooNew, match="has schema 900"):
        moved(there, empty("sqlite"))


def test_a_store_is_not_copied_to_itself(house: Place, empty: Empty) -> None:
    with pytest.raises(BadRequest, match="cannot be copied to itself"):
        moved(house, house)
    there = empty("postgres")
    moved(house, there)
    with pytest.raises(BadRequest, match="cannot be copied to itself"):
        moved(there, there)


def test_where_there_is_no_source_nothing_is_made(tmp_path: Path, empty: Empty) -> None:
    with pytest.raises(StoreError, match="there is no store"):
        moved(Place(tmp_path / "nothing.db"), Place(tmp_path / "target.db"))
    assert [*tmp_path.iterdir()] == []
    with pytest.raises(StoreError, match="there is no store"):
        moved(empty("postgres"), Place(tmp_path / "target.db"))
    assert [*tmp_path.iterdir()] == []
    with pytest.raises(BadRequest):
        moved(Place("memory:"), Place(tmp_path / "target.db"))


def test_what_a_killed_manager_left_in_its_log_moves_too(tmp_path: Path, empty: Empty) -> None:
    killed = tmp_path / "killed"
    killed.mkdir()
    with closing(SQLiteStore.open(tmp_path / "a.db")) as store:
        store.add([new("a")], NOW)
        for name in ("a.db", "a.db-wal"):
            shutil.copy(tmp_path / name, killed / name)
    there = empty("postgres")
    moved(Place(killed / "a.db"), there)
    assert [row[1] for row in there.contents()["tasks"]] == ["a"]


def test_a_zero_below_zero_is_no_difference(house: Place, empty: Empty) -> None:
    there, back = empty("postgres"), empty("sqlite")
    moved(house, there)
    there.say("UPDATE tasks SET keep = '-0.0'")
    moved(there, back)
    assert back.say("SELECT DISTINCT keep FROM tasks") == [(0.0,)]


def test_chunks_are_cut_by_their_bytes_too(
    house: Place, empty: Empty, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes: list[str] = []
    monkeypatch.setattr(move, "_BYTES", 1)
    with Move(house.url, empty("sqlite").url, now=NOW) as one:
        one.run(lambda note, done: notes.append(note))
    tasks = len(house.contents()["tasks"])
    assert sum(note.startswith("copying tasks") for note in notes) > tasks / 2
