"""A shop on a counted disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.guard.disk import Disk
from tests.guard.shop import Shop, open_shop
from tests.queue.bench import Sleepers


@pytest.fixture
def disk() -> Iterator[Disk]:
    disk = Disk()
    yield disk
    disk.unregister()


@pytest.fixture
def shop(tmp_path: Path, disk: Disk) -> Iterator[Shop]:
    with open_shop(tmp_path / "queue.db", disk=disk) as shop:
        yield shop


@pytest.fixture
def relaxed(tmp_path: Path, disk: Disk) -> Iterator[Shop]:
    with open_shop(tmp_path / "relaxed.db", "relaxed", disk) as shop:
        yield shop


@pytest.fixture
def sleepers(monkeypatch: pytest.MonkeyPatch) -> Sleepers:
    """Knows when calls fall asleep."""
    return Sleepers(monkeypatch)
