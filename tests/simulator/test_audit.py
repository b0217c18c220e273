"""The judgement: what holds, and that no fault of any kind gets through."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from qm.simulator.audit import FAULTS_MAX, Audit, End, Record, Verdict, judge
from qm.simulator.load import Job
from qm.task import ENDED, Failure, State, Task

JOB = Job("reverse", "ab", lambda output: None if output == "ba" else f"expected 'ba', got {output!r}")
DONE = Task(id="a", type="reverse", input="ab", state=State.DONE, output="ba", attempt=1, ended=9.0)
FAILED = Task(
    id="a", type="reverse", input="ab", state=State.FAILED, error=Failure("OSError", "no disk"), attempt=5
)
WAITING = Task(id="a", type="reverse", input="ab")


def record(first: Task | None, second: Task | None, seconds: float | None = 0.5) -> Record:
    return judge(JOB, "a", first, second, seconds)


def verdict(*records: Record, sent: int | None = None) -> Verdict:
    audit = Audit()
    for one in records:
        audit.add(one)
    return audit.verdict(len(records) if sent is None else sent)


GOOD = record(DONE, DONE)


def test_a_task_that_is_done_once_with_the_right_output_is_all_right() -> None:
    assert Record(id="a", type="reverse", end=End.DONE, takes=1, seconds=0.5) == GOOD
    assert verdict(GOOD).holds


@pytest.mark.parametrize(
    ("first", "second", "fault"),
    [
        (None, None, "lost"),
        (WAITING, None, "lost"),
        (DONE, None, "lost"),
        (None, WAITING, "unfinished"),
        (WAITING, replace(WAITING, state=State.RUNNING), "unfinished"),
        (None, replace(WAITING, state=State.SCHEDULED), "unfinished"),
        (FAILED, FAILED, "failed"),
        (replace(FAILED, state=State.CANCELLED), replace(FAILED, state=State.CANCELLED), "failed"),
        (replace(DONE, output="ab"), replace(DONE, output="ab"), "wrong"),
        (replace(DONE, output=None), replace(DONE, output=None), "wrong"),
        (DONE, replace(DONE, attempt=2), "twice"),
        (DONE, replace(DONE, ended=9.5), "twice"),
        (replace(DONE, output="hash 1"), replace(DONE, output="hash 2"), "twice"),
        (DONE, replace(DONE, state=State.RUNNING), "twice"),
        (DONE, FAILED, "twice"),
    ],
)
def test_every_fault_alone_makes_the_audit_fail(first: Task | None, second: Task | None, fault: str) -> None:
    bad = record(first, second)
    assert bad.complaint
    found = verdict(GOOD, bad, GOOD)
    assert not found.holds
    assert getattr(found, fault) == 1


def test_an_output_of_another_type_counts_as_changed() -> None:
    assert record(replace(DONE, output=1), replace(DONE, output=True)).twice


@pytest.mark.parametrize("change", [{"priority": 1}, {"expires": 99.0}, {"reason": "x"}, {"worker": "h:1"}])
def test_what_says_nothing_about_a_second_finish_is_no_fault(change: dict[str, Any]) -> None:
    assert not record(DONE, replace(DONE, **change)).twice


def test_a_task_taken_more_than_once_is_counted_and_no_fault() -> None:
    again = replace(DONE, attempt=3)
    audit = Audit()
    audit.add(record(again, again))
    assert audit.total.repeated == 1
    assert audit.verdict(1).holds


def test_a_failed_task_that_somebody_requeued_and_that_is_done_now_is_done_without_a_time() -> None:
    found = record(FAILED, replace(DONE, attempt=6))
    assert (found.end, found.twice, found.seconds) == (End.DONE, False, None)


def test_a_task_that_was_never_seen_ended_but_is_now_is_done_without_a_time() -> None:
    assert record(None, DONE, None) == replace(GOOD, seconds=None)


def test_only_results_have_a_time() -> None:
    assert record(FAILED, FAILED).seconds is None
    assert record(DONE, DONE).seconds == 0.5


def test_a_failure_is_told_in_its_own_words() -> None:
    assert record(FAILED, FAILED).complaint == "failed: OSError: no disk"
    reason = replace(FAILED, error=None, reason="crashed 3 times: SIGSEGV")
    assert record(reason, reason).complaint == "failed: crashed 3 times: SIGSEGV"


def test_a_task_without_a_record_is_lost() -> None:
    assert verdict(GOOD, sent=2).lost == 1
    assert not verdict(GOOD, sent=2).holds


@pytest.mark.parametrize("surplus", [GOOD, record(FAILED, FAILED), record(None, WAITING)])
def test_more_records_than_tasks_sent_do_not_hold_either(surplus: Record) -> None:
    assert not verdict(GOOD, surplus, sent=1).holds


def test_nothing_sent_is_nothing_wrong() -> None:
    assert verdict().holds


ends = st.sampled_from(End)


@given(st.lists(st.tuples(ends, st.booleans(), st.booleans())), st.integers(0, 3))
def test_the_audit_holds_exactly_if_all_are_done_once_and_right(
    kinds: list[tuple[End, bool, bool]], missing: int
) -> None:
    records = [
        Record(id=str(i), type="t", end=end, twice=twice, wrong=wrong)
        for i, (end, twice, wrong) in enumerate(kinds)
    ]
    found = verdict(*records, sent=len(records) + missing)
    perfect = missing == 0 and all(kind == (End.DONE, False, False) for kind in kinds)
    assert found.holds == perfect
    assert found.sent == found.done + found.failed + found.lost + found.unfinished


@pytest.mark.parametrize("field", ["lost", "twice", "failed", "wrong", "unfinished"])
def test_a_verdict_with_any_fault_does_not_hold_and_says_so(field: str) -> None:
    good = Verdict(sent=3, done=3, lost=0, twice=0)
    gone = {"done": 2} if field in ("lost", "failed", "unfinished") else {}
    bad = replace(good, **{field: 1}, **gone)
    assert good.holds and not bad.holds
    assert f"{'finished twice' if field == 'twice' else field} 1" in str(bad)


def test_the_line_of_the_audit_is_the_one_that_scripts_read() -> None:
    assert str(Verdict(sent=1000, done=1000, lost=0, twice=0)) == (
        "audit: sent 1000, done 1000, lost 0, finished twice 0"
    )
    assert str(Verdict(sent=9, done=4, lost=1, twice=2, failed=3, wrong=1, unfinished=1)) == (
        "audit: sent 9, done 4, lost 1, finished twice 2, failed 3, wrong 1, unfinished 1"
    )


def test_the_first_faults_are_kept_and_no_more() -> None:
    audit = Audit()
    for number in range(FAULTS_MAX + 5):
        audit.add(judge(JOB, str(number), None, None))
    assert [fault.id for fault in audit.faults] == [str(number) for number in range(FAULTS_MAX)]
    assert audit.verdict(FAULTS_MAX + 5).lost == FAULTS_MAX + 5


def test_types_add_up_to_the_total() -> None:
    audit = Audit()
    for name, end in (("a", End.DONE), ("a", End.FAILED), ("b", End.DONE)):
        audit.add(Record(id="x", type=name, end=end, seconds=1.0 if end is End.DONE else None))
    assert {name: (t.sent, t.done, t.failed) for name, t in audit.types.items()} == {
        "a": (2, 1, 1),
        "b": (1, 1, 0),
    }
    assert (audit.total.sent, audit.total.done, list(audit.total.seconds)) == (3, 2, [1.0, 1.0])


@pytest.mark.parametrize("state", [state for state in State if state not in ENDED])
def test_a_task_that_has_not_ended_is_never_done(state: State) -> None:
    open_ = replace(DONE, state=state)
    assert record(None, open_, None).end is End.UNFINISHED
