"""What a page of ended tasks costs, and a file from before its index."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest

from qm.messages import Fail, Finish, ListQuery, NewTask, Slot
from qm.policy.decision import Bury
from qm.store.sql import migrations
from qm.store.sql.paging import places
from qm.store.sqlite import SQLiteStore
from qm.store.sqlite.connection import Connection
from qm.store.sqlite.file import APPLICATION_ID
from qm.store.sqlite.health import Health
from qm.store.sqlite.reserve import Reserve
from qm.task import ENDED, State

NOW = 1_700_000_000.0
DAY = 86400.0
SLOT = Slot("session-1", 0, 1)


def end(store: SQLiteStore, name: str, tasks: int, at: float, *, well: bool = True) -> None:
    """So many tasks of this type that ended, one after the other."""
    for start in range(0, tasks, 250):
        ids = [f"{name}-{well}-{number}" for number in range(start, min(tasks, start + 250))]
        store.add([NewTask(id=id_, type=name, input=b"in", digest=b"d" * 16) for id_ in ids], at)
        taken = [task.lease for task in store.take(SLOT, [name], len(ids), at, DAY)]
        for place, lease in enumerate(taken):
            when = at + (start + place) / 1000
            if well:
                store.finish([Finish(lease, b"out")], when, DAY)
            else:
                store.fail([(Fail(lease, b"error"), Bury("no more"))], when, DAY)


def filled(path: Path, tasks: int) -> SQLiteStore:
    """A store with so many done tasks, and before and behind them some rare ones."""
    store = SQLiteStore.open(path, durability="relaxed")
    end(store, "rare", 3, NOW - 100)
    end(store, "work", 2, NOW - 50, well=False)
    end(store, "work", tasks, NOW)
    return store


def steps(work: Callable[[], object], db: apsw.Connection) -> int:
    """How many steps SQLite's machine takes: a clock that nothing disturbs."""
    count = 0

    def tick() -> bool:
        nonlocal count
        count += 1
        return False

    db.set_progress_handler(tick, 1)
    try:
        work()
    finally:
        db.set_progress_handler(None)
    return count


QUERIES = {
    "all": ListQuery(states=ENDED),
    "failed": ListQuery(states=(State.FAILED,)),
    "cancelled": ListQuery(states=(State.CANCELLED,)),
    "rare": ListQuery(states=ENDED, type="rare"),
    "rare and failed": ListQuery(states=(State.FAILED,), type="rare"),
}


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SQLiteStore, SQLiteStore]]:
    folder = tmp_path_factory.mktemp("lists")
    few, many = filled(folder / "few.db", 200), filled(folder / "many.db", 2000)
    yield few, many
    few.close()
    many.close()


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_a_page_costs_the_same_whatever_lies_behind_it(
    stores: tuple[SQLiteStore, SQLiteStore], query: ListQuery
) -> None:
    costs = []
    for store in stores:
        db = apsw.Connection(str(store.path), flags=apsw.SQLITE_OPEN_READONLY)
        connection = Connection(db, Health(store.path, Reserve(store.path)))
        types = [query.type] if query.type else list(store.counts())

        def walk(connection: Connection = connection, types: list[str] = types) -> None:
            list(places(connection, query, types, 51))

        walk()  # once for what only the first costs
        costs.append(steps(walk, db))
        db.close()
    few, many = costs
    assert many <= few * 1.1 + 20, f"{few} steps over 200 tasks, {many} over 2,000"


def test_the_pages_of_several_types_and_states_are_one_line(tmp_path: Path) -> None:
    store = SQLiteStore.open(tmp_path / "queue.db")
    for number in range(12):
        end(store, f"type-{number}", 1, NOW + number, well=number % 2 == 0)
        end(store, f"type-{number % 3}-{number}", 1, NOW + number)
    seen: list[tuple[float, str]] = []
    cursor = None
    while True:
        page = store.list(ListQuery(states=ENDED, limit=5, cursor=cursor))
        seen += [(task.ended or 0.0, task.id) for task in page.tasks]
        cursor = page.next
        if cursor is None:
            break
    ended = [at for at, _ in seen]
    assert ended == sorted(ended, reverse=True)
    assert len({id_ for _, id_ in seen}) == len(seen) == 24
    store.close()


def test_a_file_of_the_first_schema_is_taken_over_and_a_copy_kept(tmp_path: Path) -> None:
    path = tmp_path / "queue.db"
    with_tasks = filled(path, 5)
    with_tasks.close()
    db = apsw.Connection(str(path))  # back to what 0001 alone makes
    db.execute("DROP INDEX ended")
    db.execute("CREATE INDEX ended ON tasks (ended, n) WHERE ended IS NOT NULL")
    db.execute("PRAGMA user_version = 1")
    db.close()

    store = SQLiteStore.open(path)
    assert [task.type for task in store.list(ListQuery(states=ENDED)).tasks] == ["work"] * 7 + ["rare"] * 3
    store.close()
    assert path.with_name("queue.db.bak-v1").exists()
    db = apsw.Connection(str(path))
    assert (db.pragma("user_version"), db.pragma("application_id")) == (
        len(migrations("sqlite")),
        APPLICATION_ID,
    )
    db.close()
