"""The last reading: how every task stands when the faults are over, also those that nobody asked for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from qm.client import Client
from qm.limits import PAGE_MAX
from qm.simulator.chaos.digest import digest
from qm.simulator.chaos.journal import Adding, Entry, Journal, Left
from qm.task import Outcome, State, Task

#: Tasks read in one call.
_BATCH: Final = 200

_STRIKES: Final = (Outcome.CRASHED, Outcome.LOST)


def attempted(entries: Iterable[Entry]) -> list[str]:
    """The ids of all tasks that somebody tried to add."""
    found: dict[str, None] = {}
    for entry in entries:
        if isinstance(entry.event, Adding):
            found.update(dict.fromkeys(entry.event.ids))
    return list(found)


def read_all(client: Client, ids: list[str], journal: Journal) -> None:
    """Writes down how all of `ids` stand, and all other tasks that the manager has."""
    _read(client, ids, journal)
    known = set(ids)
    cursor = None
    while True:
        page = client.list(limit=PAGE_MAX, cursor=cursor)
        _read(client, [task.id for task in page.tasks if task.id not in known], journal)
        cursor = page.next
        if cursor is None:
            return


def _read(client: Client, ids: list[str], journal: Journal) -> None:
    for start in range(0, len(ids), _BATCH):
        tasks = client.get_many(ids[start : start + _BATCH])
        journal.write(*(_left(client, task) for task in tasks))


def _left(client: Client, task: Task) -> Left:
    failed = task.state is State.FAILED
    again = task.attempt > 1
    attempts = client.attempts(task.id) if failed or again else ()
    return Left(
        id=task.id,
        state=task.state,
        attempt=task.attempt,
        ended=task.ended,
        output=digest(task.output) if task.ended_well else None,
        reason=task.reason,
        strikes=sum(a.outcome in _STRIKES for a in attempts) if failed else 0,
        recorded=len(attempts) if again else None,
    )
