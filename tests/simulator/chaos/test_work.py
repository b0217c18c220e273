"""What the workers run: it is written down around every run, and no two runs give the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from qm.errors import NonRetryable
from qm.simulator.chaos import work
from qm.simulator.chaos.digest import digest
from qm.simulator.chaos.journal import Computed, Event, Raised, Started, read_journals
from qm.task import Task


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(work.FOLDER, str(tmp_path))
    work._journal.cache_clear()
    return tmp_path


def task(attempt: int = 1, **wanted: object) -> Task:
    return Task(id="t", type=work.TYPE, input=wanted, attempt=attempt)


def events(folder: Path) -> list[Event]:
    return [entry.event for entry in read_journals(folder)]


def test_a_run_is_written_down_before_and_after(folder: Path) -> None:
    output = work.ops.run(task(2, size=100))
    assert events(folder) == [Started("t", 2), Computed("t", 2, digest(output))]
    assert len(output) > 100


def test_two_runs_of_an_attempt_differ(folder: Path) -> None:
    assert work.ops.run(task()) != work.ops.run(task())


def test_a_failure_is_written_down_too(folder: Path) -> None:
    with pytest.raises(NonRetryable):
        work.ops.run(task(fails=True))
    assert events(folder) == [Started("t", 1), Raised("t", 1)]


def test_digests_tell_everything_apart() -> None:
    values = [None, "", "1", 1, b"1", [1], "\ud800"]
    assert len({digest(value) for value in values}) == len(values)
