"""The log is moved into the file beside the commits, and does not grow for ever."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from qm.store.sqlite import SQLiteStore, checkpoint
from qm.testing.contract.samples import new

NOW = 1.0


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SQLiteStore]:
    monkeypatch.setattr(checkpoint, "_ENOUGH", 50)
    monkeypatch.setattr(checkpoint, "_MUCH", 200)
    store = SQLiteStore.open(tmp_path / "queue.db", durability="relaxed")
    yield store
    store.close()


def moved(store: SQLiteStore) -> threading.Event:
    """Set when the next move is over."""
    over = threading.Event()
    move = store._checkpointer._move

    def watched() -> None:
        try:
            move()
        finally:
            over.set()

    store._checkpointer._move = watched  # type: ignore[method-assign]
    return over


def fill(store: SQLiteStore, name: str, count: int = 60) -> None:
    for n in range(count):
        store.add([new(f"{name}-{n}")], NOW)


def test_enough_pages_are_moved_by_another_thread(store: SQLiteStore) -> None:
    over = moved(store)
    fill(store, "a")
    assert over.wait(10)


def test_the_log_begins_anew_under_steady_commits(store: SQLiteStore, tmp_path: Path) -> None:
    """However long commits keep coming: without the writers' pause it would only ever grow."""
    for n in range(40):
        over = moved(store)
        fill(store, str(n))
        assert over.wait(10)
    pages = (tmp_path / "queue.db-wal").stat().st_size // 4096
    assert pages < 40 * 60  # every add writes some pages: all of them would be several times as many
    assert store.counts()["mail"]["waiting"] == 40 * 60  # type: ignore[index]


def test_a_move_that_ends_when_the_next_log_has_begun_says_nothing_about_it(store: SQLiteStore) -> None:
    class Late:
        """The connection of the thread; a commit comes just after its move."""

        def __init__(self, db: apsw.Connection) -> None:
            self.db = db

        def wal_checkpoint(self, mode: int) -> tuple[int, int]:
            pages = self.db.wal_checkpoint(mode=mode)
            store.add([new("between")], NOW)
            return pages

        def close(self) -> None:
            self.db.close()

    checkpointer = store._checkpointer
    with pytest.MonkeyPatch.context() as quiet:
        quiet.setattr(checkpoint, "_ENOUGH", 10_000)
        fill(store, "a")
        quiet.setattr(checkpointer, "_db", Late(checkpointer._db))
        checkpointer._move_pages()
    assert checkpointer._logs == 1
    over = moved(store)
    for n in range(20):  # fewer pages than were moved of the log before, and more than enough
        if over.is_set():
            break
        fill(store, str(n), 1)
    assert over.wait(10)


def test_a_move_that_fails_is_told_and_tried_again(
    store: SQLiteStore, caplog: pytest.LogCaptureFixture
) -> None:
    failed = threading.Event()

    def fail() -> None:
        failed.set()
        raise apsw.IOError("the disk is gone")

    with pytest.MonkeyPatch.context() as broken:
        broken.setattr(store._checkpointer, "_move", fail)
        fill(store, "a")
        assert failed.wait(10)
    over = moved(store)
    fill(store, "b")
    assert over.wait(10)
    assert "the disk is gone" in caplog.text


def test_closing_leaves_no_log_behind(tmp_path: Path) -> None:
    store = SQLiteStore.open(tmp_path / "queue.db")
    fill(store, "a")
    store.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["queue.db", "queue.db.lock"]
