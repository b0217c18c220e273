"""list: print tasks, page by page."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from typing import Final

from qm.cli.arguments import Arguments
from qm.cli.exits import Exit
from qm.cli.output import Output
from qm.cli.rendering import cell, fields_of
from qm.cli.table import Column, print_table
from qm.cli.terminal import hint, is_terminal
from qm.client import Client
from qm.errors import BadRequest
from qm.limits import PAGE_MAX, PREVIEW_MAX
from qm.logs import printable
from qm.task import State, Task

_DEFAULT_LIMIT: Final = 50

#: The columns of a list in a pipe, separated by tabs. Times are seconds since 1970.
COLUMNS: Final = ("id", "type", "state", "attempt", "added", "ended", "input", "output", "error")


def list_(arguments: Arguments, client: Client, output: Output) -> int:
    """Prints the tasks of --state and --type: a table on a terminal, in a pipe a line of `COLUMNS` each."""
    limit = arguments.whole("--limit")
    limit = _DEFAULT_LIMIT if limit is None else limit
    if limit < 0:
        raise BadRequest("--limit is 0 or more; 0 lists all")
    every = _tasks(client, _states(arguments), arguments.text("--type"), limit)
    wanted = islice(every, limit or None)
    if output.format == "json":
        output.records([fields_of(task) for task in wanted], asked=0)
    elif output.format in ("jsonl", "id"):
        output.stream(fields_of(task) for task in wanted)
    elif output.format == "text" and is_terminal():
        print_table(_TABLE, wanted)
    else:
        for task in wanted:
            print(*(cell(value) for value in _row(task)), sep="\t")
    if next(every, None) is not None:
        hint(f"there are more than {limit}; --limit 0 lists all")
    return Exit.OK


def _states(arguments: Arguments) -> tuple[State, ...]:
    words = arguments.texts("--state")
    for word in words:
        if word not in tuple(State):
            raise BadRequest(f"{word[:80]!r} is not a state", hint=f"one of {', '.join(State)}")
    return tuple(State(word) for word in words) or tuple(State)


def _tasks(client: Client, states: tuple[State, ...], type_: str | None, limit: int) -> Iterator[Task]:
    """All such tasks, one more than `limit` if there are: so that it can be said."""
    cursor = None
    size = min(limit + 1, PAGE_MAX) if limit else PAGE_MAX
    while True:
        page = client.list(states, type_, size, cursor)
        yield from page.tasks
        cursor = page.next
        if cursor is None:
            return


def _row(task: Task) -> list[object]:
    return [str(task.error or "") if name == "error" else getattr(task, name) for name in COLUMNS]


def _added(task: Task) -> str:
    return datetime.fromtimestamp(task.added).isoformat(" ", "seconds")


def _input(task: Task) -> str:
    return _payload(task.input, task.input_size)


def _result(task: Task) -> str:
    """The output, or why there is none, or how far it is."""
    if task.state is State.RUNNING and task.progress is not None:
        return printable(f"{task.progress:.0%} {task.note or ''}")
    if task.error is not None:
        return cell(str(task.error))
    return cell(task.reason) if task.reason else _payload(task.output, task.output_size)


def _payload(value: object, size: int) -> str:
    """A payload, or its size where the list left it out."""
    return f"({size:,} bytes)" if value is None and size > PREVIEW_MAX else cell(value)


_TABLE: Final[tuple[Column[Task], ...]] = (
    Column("ID", lambda task: task.id, width=36, whole=True),
    Column("TYPE", lambda task: task.type, width=12),
    Column("STATE", lambda task: task.state.value, width=9),
    Column("ADDED", _added, width=19, from_width=110),
    Column("INPUT", _input, from_width=90),
    Column("RESULT", _result),
)
