"""The third mutant, a store that does not sync, under a simulated power cut: the same oracle sees it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from unittest.mock import patch

from qm.messages import ListQuery, Verdict
from qm.simulator.chaos import Findings, judge
from qm.simulator.chaos.digest import digest
from qm.simulator.chaos.journal import Added, Adding, Computed, Event, Left, Settled
from qm.store.sqlite import SQLiteStore, reserve
from tests.power import recorder
from tests.power.cuts import RESERVE, first_acknowledged
from tests.power.disk import MAIN, Disk
from tests.power.recorder import Acknowledged
from tests.power.workload import record

CUTS = 60


def journals(events: Sequence[recorder.Event], before: Sequence[recorder.Event]) -> list[Event]:
    """What the clients and workers of the record would have written: what they tried in all of it, and what
    they were told before the cut."""
    tried = [event for event in events if isinstance(event, Acknowledged)]
    told = [event for event in before if isinstance(event, Acknowledged)]
    found: list[Event] = [Adding([event.id]) for event in tried if event.output is None]
    found += [Added([event.id]) for event in told if event.output is None]
    for event in tried:
        if event.output is not None:
            found.append(Computed(event.id, _attempt(event.output), digest(event.output)))
    for event in told:
        if event.output is not None:
            attempt = _attempt(event.output)
            found.append(Settled("finish", event.id, attempt, 0, Verdict.ACCEPTED, ends=True))
    return found


def _attempt(output: bytes) -> int:
    return int(output.split()[0])


def left(folder: Path) -> list[Event]:
    """How all tasks stand when the power is back."""
    with patch.object(reserve, "SIZE", RESERVE):
        store = SQLiteStore.open(folder / MAIN)
    try:
        found: list[Event] = []
        query = ListQuery(limit=500)
        while True:
            page = store.list(query)
            for task in page.tasks:
                output = None if task.output is None else digest(task.output)
                found.append(Left(id=task.id, state=task.state, attempt=task.attempt, output=output))
            if page.next is None:
                return found
            query = ListQuery(limit=500, cursor=page.next)
    finally:
        store.close()


def cut(events: Sequence[recorder.Event], seed: int) -> Findings:
    """The oracle's findings after a cut at a moment that the seed chooses."""
    rng = Random(seed)
    before = events[: rng.randint(first_acknowledged(events), len(events))]
    with TemporaryDirectory() as name:
        Disk(before).write_to(Path(name), rng)
        return judge([*journals(events, before), *left(Path(name))])


def test_full_durability_passes(tmp_path: Path) -> None:
    events = record(tmp_path, "full")
    found = [cut(events, seed) for seed in range(CUTS)]
    assert [(f.lost, f.twice, f.unexpected) for f in found] == [(0, 0, 0)] * CUTS
    assert sum(f.acked for f in found) > 20 * CUTS


def test_a_store_that_does_not_sync_is_caught(tmp_path: Path) -> None:
    events = record(tmp_path, "relaxed")
    assert any(cut(events, seed).lost for seed in range(CUTS))
