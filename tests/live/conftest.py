"""The fixtures of the tests that run pools."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from qm.client import Client
from tests.live.stage import KEY, Manager, Pools


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(tmp_path / "queue.db")
    yield manager
    manager.stop()


@pytest.fixture
def client(manager: Manager) -> Iterator[Client]:
    with Client(("127.0.0.1", manager.port), KEY) as client:
        yield client


@pytest.fixture
def pools(tmp_path: Path, manager: Manager) -> Iterator[Pools]:
    pools = Pools(tmp_path, manager.port)
    yield pools
    pools.stop_all()
