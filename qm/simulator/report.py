"""The verdict for people: a table by type, what is wrong in words, and the line of the audit."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING

from qm.logs import printable
from qm.simulator.audit import Audit, Record, Tally, Verdict

if TYPE_CHECKING:
    from rich.table import Table


def show(audit: Audit, verdict: Verdict) -> None:
    """Prints the table and the remarks."""
    from rich.console import Console  # not before there is something to show

    console = Console()
    console.print(table(audit))
    for remark in remarks(audit, verdict):
        console.print(remark, markup=False, highlight=False, soft_wrap=True)


def table(audit: Audit) -> Table:
    """A row for each type and one for all; times are from the call of add to the result."""
    from rich import box
    from rich.table import Table

    made = Table("type", box=box.SIMPLE_HEAD)
    for name in ("sent", "done", "failed", "median ms", "p99 ms"):
        made.add_column(name, justify="right")
    for name, tally in sorted(audit.types.items()):
        made.add_row(name, *_cells(tally))
    made.add_section()
    made.add_row("all", *_cells(audit.total))
    return made


def remarks(audit: Audit, verdict: Verdict) -> list[str]:
    """What the table does not say: the first faults, and what looks odd but is allowed."""
    lines = [_fault(record) for record in audit.faults]
    if repeated := audit.total.repeated:
        lines.append(
            f"{_tasks(repeated, 'was', 'were')} taken more than once, as happens when a worker ends or an "
            f"answer is lost: no fault"
        )
    if verdict.unfinished:
        lines.append(f"{_tasks(verdict.unfinished, 'has', 'have')} not ended: still in the queue")
    return lines


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of `values` that at least `share` of them do not exceed (nearest rank)."""
    return sorted(values)[max(math.ceil(share * len(values)), 1) - 1]


def _cells(tally: Tally) -> list[str]:
    counts = [f"{number:,}" for number in (tally.sent, tally.done, tally.failed)]
    if not tally.seconds:
        return [*counts, "–", "–"]
    return [*counts, *map(_milliseconds, (statistics.median(tally.seconds), percentile(tally.seconds, 0.99)))]


def _tasks(number: int, verb: str, verbs: str) -> str:
    return f"1 task {verb}" if number == 1 else f"{number:,} tasks {verbs}"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:,.1f}"


def _fault(record: Record) -> str:
    kind = "finished twice" if record.twice else "wrong" if record.wrong else record.end.value
    return f"{kind}: {record.type} {record.id}: {printable(record.complaint or '')}"
