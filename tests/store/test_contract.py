"""The stores that come with the package keep the contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from qm.store.base import Store
from qm.store.memory import MemoryStore
from qm.store.postgres import PostgresStore
from qm.store.sqlite import SQLiteStore
from qm.testing import StoreContract
from tests.postgres import want_postgres


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def store(self) -> Iterator[Store]:
        with closing(MemoryStore()) as store:
            yield store


class TestSQLiteStore(StoreContract):
    durable = True

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[Store]:
        with closing(SQLiteStore.open(tmp_path / "queue.db")) as store:
            yield store

    @pytest.fixture
    def reopen(self, tmp_path: Path) -> Callable[[], Store]:
        return lambda: SQLiteStore.open(tmp_path / "queue.db")


class TestPostgresStore(StoreContract):
    durable = True

    @pytest.fixture
    def url(self) -> str:
        return want_postgres().emptied()

    @pytest.fixture
    def store(self, url: str) -> Iterator[Store]:
        with closing(PostgresStore.open(url)) as store:
            yield store

    @pytest.fixture
    def reopen(self, url: str) -> Callable[[], Store]:
        return lambda: PostgresStore.open(url)
