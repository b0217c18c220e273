"""What reading costs where many ask at once, and what they hear where there is no descriptor for it."""

from __future__ import annotations

import os
import resource
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from qm.errors import StoreError
from qm.store.sqlite import SQLiteStore
from qm.store.sqlite.store import _READERS_MAX

#: Seconds until a question that should have been answered counts as hanging.
PATIENCE = 10.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SQLiteStore]:
    store = SQLiteStore.open(tmp_path / "queue.db")
    yield store
    store.close()


def descriptors(path: Path) -> int:
    """How many descriptors of this process are for the store's file."""
    found = 0
    for link in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the one that lists them
            found += os.readlink(link) == str(path)
    return found


@contextmanager
def no_descriptors() -> Iterator[None]:
    """Inside, this process can open nothing."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with ExitStack() as undo:
        undo.callback(resource.setrlimit, resource.RLIMIT_NOFILE, before)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, before[0]), before[1]))
        with suppress(OSError):
            while True:
                undo.callback(os.close, os.open(os.devnull, os.O_RDONLY))
        yield


def test_a_thousand_readers_share_a_few_connections(store: SQLiteStore) -> None:
    """Each had opened its own, with two descriptors and two megabytes, and kept it for ever."""
    held = [store.get(["a"]) for _ in range(_READERS_MAX)]
    for reading in held:
        next(reading)
    most = descriptors(store.path)
    late = threading.Thread(target=lambda: list(store.get(["a"])), daemon=True)
    late.start()
    late.join(0.1)
    assert late.is_alive(), "it waits for one of them"
    assert descriptors(store.path) == most
    held.pop().close()
    late.join(PATIENCE)
    assert not late.is_alive()
    for reading in held:
        reading.close()


def test_who_waits_for_a_connection_hears_that_the_store_was_closed(store: SQLiteStore) -> None:
    held = [store.get(["a"]) for _ in range(_READERS_MAX)]
    for reading in held:
        next(reading)
    heard: list[StoreError] = []

    def ask() -> None:
        try:
            list(store.get(["a"]))
        except StoreError as error:
            heard.append(error)

    late = threading.Thread(target=ask, daemon=True)
    late.start()
    store.close()
    for reading in held:
        reading.close()
    late.join(PATIENCE)
    assert [str(error) for error in heard] == ["the store is closed"]
    assert descriptors(store.path) == 0


def test_without_a_descriptor_a_question_fails_in_words(store: SQLiteStore) -> None:
    held = store.get(["a"])  # by the connection that is there
    next(held)
    with no_descriptors(), pytest.raises(StoreError, match="the store could not be read"):
        list(store.get(["a"]))
    assert list(store.get(["b"])) == [None]
    held.close()
