"""Cuts the power at random moments of a record, opens what is left with the real store, and compares it with
what had been acknowledged by then."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Final
from unittest.mock import patch

import apsw
from msgspec import Struct

from qm.errors import StoreError
from qm.messages import ListQuery
from qm.store import Store
from qm.store.sqlite import SQLiteStore, reserve
from qm.task import PackedTask, State
from tests.power.disk import MAIN, Disk
from tests.power.recorder import Acknowledged, Event

#: Bytes that a store keeps back for a full disk: here they would only cost time.
RESERVE: Final = 4096


class Finding(Struct, frozen=True):
    """What one cut has done."""

    #: Adds and results that had been acknowledged before it.
    acknowledged: int
    #: Those of them that are not there any more.
    lost: list[str]
    #: What is wrong beyond that: a file that does not open, is damaged, or contradicts itself.
    damage: list[str]


def first_acknowledged(events: Sequence[Event]) -> int:
    """The place in a record from which on somebody relies on the store."""
    return next(place for place, event in enumerate(events) if isinstance(event, Acknowledged))


def cut(events: Sequence[Event], seed: int, earliest: int = 0) -> Finding:
    """Cuts at a moment that the seed chooses, at `earliest` or later."""
    rng = Random(seed)
    before = events[: rng.randint(earliest, len(events))]
    with TemporaryDirectory() as name:
        folder = Path(name)
        Disk(before).write_to(folder, rng)
        acknowledged = [event for event in before if isinstance(event, Acknowledged)]
        try:
            with patch.object(reserve, "SIZE", RESERVE):
                store = SQLiteStore.open(folder / MAIN)
        except StoreError as error:
            return Finding(len(acknowledged), [], [f"does not open: {error}"])
        try:
            lost = list(_lost(store, acknowledged))
            damage = [*_damage(folder / MAIN), *_contradictions(store, acknowledged)]
        finally:
            store.close()
    return Finding(len(acknowledged), lost, damage)


def _lost(store: Store, acknowledged: Sequence[Acknowledged]) -> Iterator[str]:
    found = zip(acknowledged, store.get([event.id for event in acknowledged]), strict=True)
    for event, task in found:
        if task is None:
            yield f"the add of {event.id}"
        elif event.output is not None and (task.state, task.output) != (State.DONE, event.output):
            yield f"the result of {event.id}, which is {task.state}"


def _damage(path: Path) -> list[str]:
    """What SQLite itself finds wrong."""
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        found = [str(row[0]) for row in db.execute("PRAGMA integrity_check")]
    finally:
        db.close()
    return [] if found == ["ok"] else found


def _contradictions(store: Store, acknowledged: Sequence[Acknowledged]) -> Iterator[str]:
    """Counts that are not the tasks', results without an end and ends without a result, second results."""
    tasks = list(_tasks(store))
    counted: dict[str, dict[State, int]] = {}
    for task in tasks:
        by_state = counted.setdefault(task.type, {})
        by_state[task.state] = by_state.get(task.state, 0) + 1
        if (task.state is State.DONE) != (task.output is not None):
            yield f"{task.id} is {task.state} with the output {task.output!r}"
    if counted != store.counts():
        yield f"the counts are {store.counts()}, the tasks {counted}"
    results = {event.id: event.output for event in acknowledged if event.output is not None}
    for task in tasks:
        if task.state is State.DONE and results.get(task.id, task.output) != task.output:
            yield f"{task.id} has been finished twice"


def _tasks(store: Store) -> Iterator[PackedTask]:
    cursor = None
    while True:
        page = store.list(ListQuery(limit=500, cursor=cursor))
        yield from page.tasks
        if page.next is None:
            return
        cursor = page.next
