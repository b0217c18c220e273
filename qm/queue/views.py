"""The state stores as the original has them: wait, progress, done. Read only."""

from __future__ import annotations

from collections.abc import Sequence

from qm.messages import Got, ListQuery, PackedPage
from qm.queue.core import Core
from qm.queue.get import get
from qm.task import Counts, State


class View:
    """The tasks in some of the states."""

    def __init__(self, core: Core, states: Sequence[State]) -> None:
        self._core = core
        self._states = tuple(states)

    def count(self) -> int:
        """How many tasks there are."""
        states = Counts.of(self._core.store.counts()).states
        return sum(states[state] for state in self._states)

    def list(self, limit: int = 50, cursor: str | None = None, type: str | None = None) -> PackedPage:
        """A page of them; `cursor` is the last page's `next`."""
        query = ListQuery(states=self._states, type=type, limit=limit, cursor=cursor)
        return self._core.store.list(query)

    def get(self, ids: Sequence[str]) -> Got:
        """Those of the tasks with these ids that are here; the others are missing."""
        got = get(self._core, ids, 0)
        here = [task for task in got.tasks if task.state in self._states]
        elsewhere = [task.id for task in got.tasks if task.state not in self._states]
        return Got(here, [*got.missing, *elsewhere], got.rest)
