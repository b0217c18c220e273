"""After a power cut everything acknowledged is there, and the file is whole."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from qm.store import Durability
from tests.power.cuts import Finding, cut, first_acknowledged
from tests.power.disk import MAIN, Disk
from tests.power.recorder import Acknowledged, Delete, Event, SyncBegins, SyncEnds, Write
from tests.power.workload import record

CUTS = 300


def findings(folder: Path, durability: Durability, cuts: int) -> list[Finding]:
    events = record(folder, durability)
    earliest = first_acknowledged(events)
    return [cut(events, seed, earliest) for seed in range(cuts)]


def test_a_cut_while_the_file_is_made_leaves_one_that_opens(tmp_path: Path) -> None:
    events = record(tmp_path, "full", threads=1, rounds=1)
    opening = events[: first_acknowledged(events)]
    assert [found.damage for seed in range(100) if (found := cut(opening, seed)).damage] == []


def test_nothing_acknowledged_is_lost_at_full_durability(tmp_path: Path) -> None:
    found = findings(tmp_path, "full", CUTS)
    assert [finding.damage for finding in found if finding.damage] == []
    assert [finding.lost for finding in found if finding.lost] == []
    assert sum(finding.acknowledged for finding in found) > 20 * CUTS


def test_relaxed_durability_loses_the_last_moments_but_is_never_damaged(tmp_path: Path) -> None:
    """That it is seen to lose proves that the test above could see it."""
    found = findings(tmp_path, "relaxed", 60)
    assert [finding.damage for finding in found if finding.damage] == []
    assert any(finding.lost for finding in found)


def test_a_record_has_everything_in_it_that_a_cut_should_meet(tmp_path: Path) -> None:
    events = record(tmp_path, "full")
    writes = [event for event in events if isinstance(event, Write)]
    assert sum(w.file == f"{MAIN}-wal" and w.offset == 0 for w in writes) > 2, "the log begins anew"
    moves = sum(isinstance(e, SyncEnds) and e.file == MAIN for e in events)
    assert moves > 5, "the log is moved into the file"
    assert any(isinstance(e, Delete) for e in events)
    commits = sum(isinstance(e, SyncEnds) and e.file == f"{MAIN}-wal" for e in events)
    adds = sum(isinstance(e, Acknowledged) and e.output is None for e in events)
    assert commits < adds, "calls share commits"


def found_after(tmp_path: Path, *events: Event, seed: int = 0) -> dict[str, bytes]:
    Disk(events).write_to(tmp_path, Random(seed))
    return {path.name: path.read_bytes() for path in tmp_path.iterdir()}


def log(*, synced: bool, data: bytes = b"x" * 2048) -> list[Event]:
    made: list[Event] = [Write("log", 0, data)]
    return [*made, SyncBegins("log"), SyncEnds("log", 1)] if synced else made


@pytest.mark.parametrize("seed", range(20))
def test_what_was_synced_is_there(tmp_path: Path, seed: int) -> None:
    assert found_after(tmp_path, *log(synced=True), seed=seed)["log"] == b"x" * 2048


def test_what_was_not_synced_may_be_there_missing_or_torn(tmp_path: Path) -> None:
    seen = set()
    for seed in range(200):
        folder = tmp_path / str(seed)
        folder.mkdir()
        found = found_after(folder, *log(synced=False), seed=seed)
        seen.add(found.get("log"))
    assert {None, b"", b"x" * 2048} < seen
    assert any(found and 0 in found for found in seen), "torn"


def test_a_sync_covers_what_came_before_its_begin(tmp_path: Path) -> None:
    events: list[Event] = [*log(synced=True), SyncBegins("log"), Write("log", 2048, b"y"), SyncEnds("log", 3)]
    seen = set()
    for seed in range(50):
        folder = tmp_path / str(seed)
        folder.mkdir()
        seen.add(found_after(folder, *events, seed=seed)["log"])
    assert seen == {b"x" * 2048, b"x" * 2048 + b"y"}


def test_an_unsynced_deletion_may_be_undone(tmp_path: Path) -> None:
    seen = set()
    for seed in range(50):
        folder = tmp_path / str(seed)
        folder.mkdir()
        seen.add("log" in found_after(folder, *log(synced=True), Delete("log", synced=False), seed=seed))
    assert seen == {True, False}
    gone = tmp_path / "gone"
    gone.mkdir()
    assert "log" not in found_after(gone, *log(synced=True), Delete("log", synced=True))
