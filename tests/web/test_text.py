"""The page as a pure function of a snapshot."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from qm.messages import Status
from qm.payload import pack
from qm.task import Counts, PackedTask, State
from qm.web.reader import Snapshot
from qm.web.text import page


def snapshot(done: list[PackedTask], types: dict[str, dict[State, int]] | None = None) -> Snapshot:
    counts = Counts.of(types or {"work": {State.DONE: len(done)}})
    status = Status(
        wait=counts.wait,
        progress=counts.progress,
        done=counts.done,
        states=counts.states,
        types=counts.types,
        workers=[],
        unserved=[],
        now=1_700_000_000.0,
        started=1_700_000_000.0,
        version="0",
        store="memory",
    )
    return Snapshot(status, done)


def task(input: object = None, output: object = None, id: str = "a") -> PackedTask:
    return PackedTask(
        id=id,
        type="work",
        input=pack(input),
        output=pack(output),
        state=State.DONE,
        ended=1_700_000_001.0,
    )


def test_types_that_the_status_leaves_out_are_counted() -> None:
    status = replace(snapshot([], {"work": {State.DONE: 1}}).status, types_left=7)
    assert "(and 7 more)" in page(Snapshot(status, []), show_payloads=False).splitlines()


def test_the_whole_page() -> None:
    done = [task("1 + 1", 2, id="order-42"), task([1, 2], "日本", id="b"), task(None, "e\u0301", id="c")]
    types = {"work": {State.DONE: 3, State.WAITING: 2, State.SCHEDULED: 1, State.RUNNING: 4}}
    assert page(snapshot(done, types), show_payloads=True).splitlines() == [
        "Current time is: 2023-11-14 22:13:20 UTC",
        "Wait:      3",
        "Progress:  4",
        "Done:      3",
        "",
        "Done list:",
        "ID        TYPE  INPUT   OUTPUT  ENDED (UTC)",
        "order-42  work  1 + 1   2       2023-11-14 22:13:21",
        "b         work  [1, 2]  日本    2023-11-14 22:13:21",
        "c         work  None    e\u0301       2023-11-14 22:13:21",
    ]


def test_the_page_without_payloads() -> None:
    types = {
        "work": {State.DONE: 3, State.FAILED: 2, State.WAITING: 1},
        "other": {State.RUNNING: 4, State.CANCELLED: 1},
    }
    text = page(snapshot([task("secret")], types), show_payloads=False)
    assert text.splitlines()[5:9] == [
        "By type:",
        "TYPE   WAIT  PROGRESS  DONE",
        "other  0     4         1",
        "work   1     0         5",
    ]
    assert "secret" not in text


def test_types_without_end_do_not_make_a_page_without_end() -> None:
    types = {f"type-{number:04}": {State.WAITING: 1} for number in range(1000)}
    lines = page(snapshot([], types), show_payloads=False).splitlines()
    assert "(and 900 more)" in lines
    assert len(lines) < 120


def test_a_cut_cell_shows_that_it_is_cut() -> None:
    line = page(snapshot([task("x" * 4000, "y" * 61)]), show_payloads=True).splitlines()[7]
    assert "x" * 39 + "…  " + "y" * 59 + "…  2023" in line


@given(st.lists(st.tuples(st.text(), st.text()), min_size=1, max_size=5))
def test_each_task_is_one_line_whatever_is_in_it(texts: list[tuple[str, str]]) -> None:
    text = page(snapshot([task(*pair) for pair in texts]), show_payloads=True)
    lines = text.split("\n")
    assert len(lines) == 7 + len(texts) + 1
    assert lines[-1] == ""
    assert not any(unicodedata.category(c) in ("Cc", "Zl", "Zp", "Cs") for line in lines for c in line)
    assert all(line.endswith("2023-11-14 22:13:21") for line in lines[7:-1])
