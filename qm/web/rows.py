"""Tasks as the page shows them: previews as text, times as numbers."""

from __future__ import annotations

from msgspec import Struct

from qm.logs import printable
from qm.messages import PackedPage
from qm.payload import show_text
from qm.task import PackedTask, State
from qm.web.preview import show_input, show_outcome

#: Characters of a preview in a row: more is on the task's own page.
_CELL: int = 160


class Row(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of a list. Times are seconds since 1970; `outcome` is the output, or why there is none."""

    id: str
    type: str
    state: State
    input: str
    outcome: str | None = None
    added: float
    started: float | None = None
    ended: float | None = None
    attempt: int
    worker: str | None = None
    progress: float | None = None
    note: str | None = None


class Rows(Struct, frozen=True):
    """A page of them; `next` is the cursor of the next page, or None on the last."""

    tasks: list[Row]
    next: str | None


def rows(page: PackedPage) -> Rows:
    """A page as the page shows it."""
    return Rows([row(task) for task in page.tasks], page.next)


def row(task: PackedTask) -> Row:
    """A task as one line."""
    return Row(
        id=task.id,
        type=task.type,
        state=task.state,
        input=line(show_input(task)),
        outcome=line(show_outcome(task)) if task.ended is not None else None,
        added=task.added,
        started=task.started,
        ended=task.ended,
        attempt=task.attempt,
        worker=line(task.worker) if task.worker else None,
        progress=task.progress,
        note=line(show_text(task.note)) if task.note else None,
    )


def line(text: str, width: int = _CELL) -> str:
    """`text` on one line, with nothing in it that turns or hides other text, cut to `width` characters."""
    safe = printable(text[: width + 1])
    return safe if len(safe) <= width else safe[: width - 1] + "…"
