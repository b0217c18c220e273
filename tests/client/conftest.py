"""A manager in this process, and a client of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from qm.client import Client
from qm.testing import RunningManager, running_manager
from tests.client.wire import Wire
from tests.queue.bench import PickyStore, Sleepers


@pytest.fixture
def store() -> PickyStore:
    """Where the manager keeps its tasks."""
    return PickyStore()


@pytest.fixture
def manager(store: PickyStore) -> Iterator[RunningManager]:
    """A manager that serves."""
    with running_manager(store) as manager:
        yield manager


@pytest.fixture
def client(manager: RunningManager) -> Client:
    """A client of the manager."""
    return manager.client()


@pytest.fixture
def wire(manager: RunningManager) -> Iterator[Wire]:
    """A connection to the manager that can be cut."""
    wire = Wire(manager.address)
    yield wire
    wire.close()


@pytest.fixture
def sleepers(monkeypatch: pytest.MonkeyPatch) -> Sleepers:
    """Knows when calls wait in the manager."""
    return Sleepers(monkeypatch)
