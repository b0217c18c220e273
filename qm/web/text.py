"""The original's page: the time, the counts and the done list as plain text, for curl and for people."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from qm.logs import printable
from qm.messages import Status
from qm.task import ENDED, PROGRESS, WAIT, PackedTask, State
from qm.web.preview import show_input, show_outcome
from qm.web.reader import Snapshot

#: The widest a cell may be, in characters: an id of ours as a whole, and of a payload what tells tasks apart.
_ID, _TYPE, _INPUT, _OUTCOME = 36, 20, 40, 60

#: Types in the table; whoever has more looks for one of them elsewhere.
_TYPES_SHOWN: Final = 100

_NOT_SHOWN: Final = (
    "Tasks are not listed here: this page has no login yet, and other machines can reach it.",
    "On the manager's own machine: qmclient list --state done",
)


def page(snapshot: Snapshot, show_payloads: bool) -> str:
    """The page. Without `show_payloads` it has counts and types only: no ids, inputs, outputs or errors."""
    status = snapshot.status
    lines = [
        f"Current time is: {_time(status.now)} UTC",
        f"Wait:      {status.wait}",
        f"Progress:  {status.progress}",
        f"Done:      {status.done}",
        "",
        *(_done_list(snapshot) if show_payloads else [*_types(status), "", *_NOT_SHOWN]),
    ]
    return "\n".join(lines) + "\n"


def _done_list(snapshot: Snapshot) -> list[str]:
    if not snapshot.done:
        return ["Done list:", "(no task has ended yet)"]
    more = len(snapshot.done) < snapshot.status.done
    title = f"Done list (the newest {len(snapshot.done)}):" if more else "Done list:"
    return [title, *_table(("ID", "TYPE", "INPUT", "OUTPUT", "ENDED (UTC)"), map(_row, snapshot.done))]


def _row(task: PackedTask) -> Sequence[str]:
    return (
        _cell(task.id, _ID),
        _cell(task.type, _TYPE),
        _cell(show_input(task), _INPUT),
        _cell(show_outcome(task), _OUTCOME),
        _time(task.ended) if task.ended is not None else "",
    )


def _types(status: Status) -> list[str]:
    types = status.types
    if not types:
        return ["By type:", "(no task is known)"]
    shown = sorted(types)[:_TYPES_SHOWN]
    rows = [
        (_cell(name, _TYPE), *(str(_sum(types[name], group)) for group in (WAIT, PROGRESS, ENDED)))
        for name in shown
    ]
    left = len(types) - len(shown) + status.types_left
    more = [f"(and {left} more)"] if left else []
    return ["By type:", *_table(("TYPE", "WAIT", "PROGRESS", "DONE"), rows), *more]


def _sum(counts: dict[State, int], states: Iterable[State]) -> int:
    return sum(counts.get(state, 0) for state in states)


def _time(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}"


def _cell(text: str, width: int) -> str:
    """`text` on one line, with nothing in it that commands a terminal, cut to `width` characters."""
    safe = printable(text[: width + 1])
    return safe if len(safe) <= width else safe[: width - 1] + "…"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Rows as lines, columns aligned and two blanks apart."""
    table = [head, *rows]
    widths = [max(map(_columns, column)) for column in zip(*table, strict=True)]
    return ["  ".join(map(_pad, row, widths)).rstrip() for row in table]


def _pad(cell: str, width: int) -> str:
    return cell + " " * (width - _columns(cell))


def _columns(text: str) -> int:
    """How many columns of a terminal `text` takes."""
    return sum(map(_width, text))


def _width(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
