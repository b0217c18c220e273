"""Where the routes get the queue from; see `qm.web.reader.Reader`."""

from __future__ import annotations

from typing import Protocol

from qm.messages import ListQuery, PackedPage
from qm.web.reader import Snapshot, Story


class Source(Protocol):
    """All of it raises `QueueError` where the manager is away, within seconds."""

    def read(self, max_age: float = 0.0) -> Snapshot:
        """How things stand."""

    def list(self, query: ListQuery) -> PackedPage:
        """A page of tasks."""

    def task(self, id: str, before: int | None = None) -> Story:
        """One task."""
