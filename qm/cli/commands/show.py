"""show: all that is known of a task, for a person who has to find out what happened."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from msgspec.structs import asdict

from qm.cli.arguments import Arguments
from qm.cli.exits import Exit
from qm.cli.output import Output
from qm.cli.rendering import cell, fields_of
from qm.cli.terminal import say
from qm.client import Client
from qm.errors import NotFound
from qm.logs import printable
from qm.task import Attempt, State, Task

#: Lines of an attempt's output and log: its last ones. --json has all that were kept.
_LINES: Final = 20

#: Characters of a payload.
_PAYLOAD: Final = 1000

_MIB: Final = 1 << 20


def show(arguments: Arguments, client: Client, output: Output) -> int:
    """Prints the tasks of all ids with their attempts."""
    ids = arguments.ids()
    code, records = Exit.OK, []
    for id_ in ids:
        try:
            task, attempts = client.get(id_), client.attempts(id_)
        except NotFound as error:
            say("qmclient", str(error))
            code = Exit.NOT_FOUND
            continue
        if output.format in ("text", "bare"):
            print(*_story(task, attempts), sep="\n")
        records.append({**fields_of(task), "history": [_fields(attempt) for attempt in attempts]})
    if output.format not in ("text", "bare"):
        output.records(records, len(ids))
    return code


def _fields(attempt: Attempt) -> dict[str, Any]:
    error = None if attempt.error is None else asdict(attempt.error)
    return {**asdict(attempt), "error": error, "signal": _signal(attempt)}


def _story(task: Task, attempts: list[Attempt]) -> Iterator[str]:
    """A task's life, line by line."""
    yield f"Task {task.id}, {task.type}"
    yield f"  state     {_state(task)}"
    yield f"  added     {_time(task.added)}" + (f", priority {task.priority}" if task.priority else "")
    if task.ended is not None:
        kept = f", kept until {_time(task.expires)}" if task.expires is not None else ""
        yield f"  ended     {_time(task.ended)}{kept}"
    yield f"  attempts  {_counters(task)}"
    yield f"  input     {_payload(task.input)}"
    if task.state is State.DONE:
        yield f"  output    {_payload(task.output)}"
    for attempt in attempts:
        yield ""
        yield from _attempt(attempt)


def _state(task: Task) -> str:
    """The state, and why."""
    if task.state is State.RUNNING:
        where = f"attempt {task.attempt} on {task.worker or 'an unknown worker'}"
        wish = "; cancelled, its worker has been told to stop it" if task.cancelling else ""
        far = "" if task.progress is None else f", {task.progress:.0%} {printable(task.note or '')}".rstrip()
        return f"running since {_time(task.started)}, {where}{far}{wish}"
    if task.state is State.SCHEDULED:
        return f"scheduled, due {_time(task.due)}"
    return f"{task.state.value}: {printable(task.reason)}" if task.reason else task.state.value


def _counters(task: Task) -> str:
    counts = (("failed", task.failures), ("crashed", task.crashes), ("lost", task.lost))
    told = [f"{count} {word}" for word, count in counts if count]
    return ", ".join([f"taken {task.attempt} times" if task.attempt != 1 else "taken once", *told])


def _attempt(attempt: Attempt) -> Iterator[str]:
    ended = f"{_time(attempt.ended)}, after {_duration(attempt.ended - attempt.started)}"
    yield f"Attempt {attempt.attempt}: {attempt.outcome.value}, {ended}"
    where = [f"on {attempt.worker or 'an unknown worker'}"]
    if attempt.pid is not None:
        where.append(f"process {attempt.pid}")
    if attempt.peak_memory is not None:
        where.append(f"at most {attempt.peak_memory / _MIB:.1f} MiB")
    yield f"  {', '.join(where)}"
    if (how := _signal(attempt) or attempt.cause) is not None:
        yield f"  ended by  {printable(how)}"
    if attempt.error is not None:
        yield f"  error     {printable(str(attempt.error))}"
        yield from _quoted(attempt.error.traceback)
    if attempt.log:
        yield "  log       its last lines"
        yield from _quoted(attempt.log, _LINES)


def _quoted(text: str, most: int | None = None) -> Iterator[str]:
    lines = text.splitlines()
    if most is not None and len(lines) > most:
        yield f"    | ... {len(lines) - most} lines more; --json has them"
        lines = lines[-most:]
    for line in lines:
        yield f"    | {printable(line)}".rstrip()


def _signal(attempt: Attempt) -> str | None:
    """The name of the signal that ended the process."""
    if attempt.exitcode is None or attempt.exitcode >= 0:
        return None
    try:
        return signal.Signals(-attempt.exitcode).name
    except ValueError:
        return f"signal {-attempt.exitcode}"


def _payload(value: object) -> str:
    text = cell(value)
    return text if len(text) <= _PAYLOAD else f"{text[:_PAYLOAD]}... ({len(text):,} characters)"


def _time(moment: float | None) -> str:
    return "?" if moment is None else datetime.fromtimestamp(moment).isoformat(" ", "milliseconds")


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.3g} s" if seconds >= 1 else f"{seconds * 1000:.3g} ms"
    return f"{seconds / 60:.3g} min" if seconds < 7200 else f"{seconds / 3600:.3g} h"
