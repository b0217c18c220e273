"""What people are shown."""

from __future__ import annotations

import io
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from qm.simulator.audit import Audit, End, Record
from qm.simulator.report import percentile, remarks, show, table


def audit(*records: Record) -> Audit:
    made = Audit()
    for record in records:
        made.add(record)
    return made


def done(type_: str, seconds: float, takes: int = 1) -> Record:
    return Record(id="x", type=type_, end=End.DONE, seconds=seconds, takes=takes)


def rows(made: Audit) -> list[list[str]]:
    console = Console(file=io.StringIO(), width=100)
    console.print(table(made))
    assert isinstance(console.file, io.StringIO)
    return [line.split() for line in console.file.getvalue().splitlines() if line.strip(" ─")]


def test_the_table_has_a_row_for_each_type_and_one_for_all() -> None:
    records = [done("reverse", 0.010), done("reverse", 0.020), done("reverse", 1.5), done("encoder", 0.100)]
    records.append(Record(id="x", type="encoder", end=End.FAILED, complaint="failed: no"))
    assert rows(audit(*records)) == [
        ["type", "sent", "done", "failed", "median", "ms", "p99", "ms"],
        ["encoder", "2", "1", "1", "100.0", "100.0"],
        ["reverse", "3", "3", "0", "20.0", "1,500.0"],
        ["all", "5", "4", "1", "60.0", "1,500.0"],
    ]


def test_a_type_without_results_has_no_times() -> None:
    assert rows(audit(Record(id="x", type="encoder", end=End.LOST)))[1:] == [
        ["encoder", "1", "0", "0", "–", "–"],
        ["all", "1", "0", "0", "–", "–"],
    ]


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([5.0], 0.99, 5.0),
        ([2.0, 1.0], 0.5, 1.0),
        ([float(n) for n in range(1, 101)], 0.99, 99.0),
        ([float(n) for n in range(1, 201)], 0.99, 198.0),
        ([float(n) for n in range(1, 51)], 0.99, 50.0),
    ],
)
def test_the_percentile_is_the_nearest_rank(values: Sequence[float], share: float, expected: float) -> None:
    assert percentile(values, share) == expected


@given(st.lists(st.floats(0, 100), min_size=1), st.floats(0, 1))
def test_at_least_the_share_is_within_the_percentile_and_less_is_below_it(
    values: list[float], share: float
) -> None:
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values)
    assert found == min(values) or sum(value < found for value in values) < share * len(values)


def test_faults_are_told_with_their_kind_type_and_id() -> None:
    wrong = Record(id="1", type="reverse", end=End.DONE, wrong=True, complaint="expected 'a', got 'b'")
    twice = Record(id="2", type="encoder", end=End.DONE, twice=True, complaint="its output changed")
    lost = Record(id="3", type="encoder", end=End.LOST, complaint="gone\x1b[2J")
    made = audit(done("reverse", 1), wrong, twice, lost)
    assert remarks(made, made.verdict(4)) == [
        "wrong: reverse 1: expected 'a', got 'b'",
        "finished twice: encoder 2: its output changed",
        "lost: encoder 3: gone\\x1b[2J",
    ]


def test_what_is_odd_but_allowed_is_told_too() -> None:
    made = audit(done("reverse", 1, takes=2), Record(id="x", type="reverse", end=End.UNFINISHED))
    again, waiting = remarks(made, made.verdict(2))
    assert again.startswith("1 task was taken more than once")
    assert waiting.startswith("1 task has not ended")


def test_a_good_run_needs_no_remarks() -> None:
    made = audit(done("reverse", 1))
    assert remarks(made, made.verdict(1)) == []


def test_a_remark_stays_one_line_and_is_not_read_as_markup(capsys: pytest.CaptureFixture[str]) -> None:
    text = "expected [red]" + "x" * 300
    made = audit(Record(id="1", type="reverse", end=End.DONE, wrong=True, complaint=text))
    show(made, made.verdict(1))
    assert f"wrong: reverse 1: {text}\n" in capsys.readouterr().out
