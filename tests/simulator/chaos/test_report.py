"""What a run says of itself, on the terminal and as a document."""

from __future__ import annotations

from pathlib import Path

from qm.messages import Verdict
from qm.simulator.chaos import ChaosPlan, Result, judge, report
from qm.simulator.chaos.journal import (
    Added,
    Adding,
    Claimed,
    Computed,
    Crashed,
    Event,
    Fault,
    Left,
    Settled,
    Unanswered,
)
from qm.task import State

GOOD: list[Event] = [
    Adding(["t"]),
    Added(["t"]),
    Computed("t", 1, "x"),
    Settled("finish", "t", 1, 5, Verdict.ACCEPTED, ends=True),
    Left(id="t", state=State.DONE, attempt=1, output="x"),
    Fault("manager killed"),
    Fault("manager killed"),
]
PASSED = Result(ChaosPlan(), judge(GOOD), 61.5, None)
FAILED = Result(ChaosPlan(), judge(GOOD[:2]), 61.5, Path("somewhere"))


def test_the_last_line_is_the_audit_and_its_verdict() -> None:
    assert report.text(PASSED).splitlines()[-1] == f"{PASSED.findings}: passed"
    assert report.text(FAILED).splitlines()[-1] == f"{FAILED.findings}: FAILED"


def test_the_table_has_a_line_for_each_word_and_each_fault() -> None:
    lines = [line.split() for line in report.text(PASSED).splitlines()]
    assert ["done", "1"] in [line[:2] for line in lines]
    assert ["lost", "0"] in [line[:2] for line in lines]
    assert ["manager", "killed", "2"] in lines


def test_claims_that_a_crash_undid_are_told_where_there_were_any() -> None:
    claims: list[Event] = [
        Claimed("t", 1, 5, "pool 0 0", 1.0, 1.1),
        Crashed(1.0, 2.0),
        Claimed("t", 1, 6, "pool 1 0", 3.0, 3.1),
    ]
    said = report.text(Result(ChaosPlan(), judge([*GOOD, *claims]), 1.0, None))
    assert "claims undone" in said and "claims undone" not in report.text(PASSED)
    lines = [line.split()[:3] for line in said.splitlines()]
    assert ["claimed", "twice", "0"] in lines and ["claims", "2", "leases"] in lines


def test_adds_that_raised_are_told_by_their_errors() -> None:
    found = judge([*GOOD, Adding(["u"]), Unanswered(["u"], "unreachable")])
    assert "refused: unreachable 1" in report.text(Result(ChaosPlan(), found, 1.0, None))
    assert "refused:" not in report.text(PASSED)


def test_a_failure_says_what_is_wrong_and_where_the_logs_are() -> None:
    said = report.text(FAILED)
    assert "lost: task t: its add was acknowledged, and it is not there" in said
    assert "the logs are kept in somewhere" in said
    assert "logs" not in report.text(PASSED)


def test_the_document_has_the_command_the_figures_and_the_verdict() -> None:
    text = report.markdown(PASSED, "qmsimulator --chaos --seed 0")
    assert "```\nqmsimulator --chaos --seed 0\n```" in text
    assert "**Passed.**" in text and "**FAILED.**" in report.markdown(FAILED, "")
    assert "| acked | 1 |" in text
    assert "| manager killed | 2 |" in text
    assert "1 were accepted, 0 were repeats, and 0 came" in text
