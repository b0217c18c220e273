"""status: how many tasks there are, and who works."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

from msgspec.structs import asdict

from qm.cli.arguments import Arguments
from qm.cli.exits import Exit
from qm.cli.output import Output
from qm.cli.rendering import to_json
from qm.cli.terminal import hint
from qm.client import Client
from qm.errors import BadRequest
from qm.logs import printable
from qm.messages import Status
from qm.task import State

#: Types that nobody serves, each with a line of its own.
_HINTS: Final = 20


def status(arguments: Arguments, client: Client, output: Output) -> int:
    """Prints the original's three numbers, and what they are made of."""
    if output.format == "id":
        raise BadRequest("a status has no ids", hint="-o text, json or jsonl")
    now = client.status()
    if output.format in ("json", "jsonl"):
        print(to_json(asdict(now), indent=2 if output.format == "json" else None))
        return Exit.OK
    for line in _lines(now):
        print(printable(line))
    for name in now.unserved[:_HINTS]:
        hint(
            f'tasks of type "{name}" wait and no worker serves it; start one with: qmworker '
            "(--load MODULE if it is yours)"
        )
    if (more := len(now.unserved[_HINTS:]) + now.unserved_left) > 0:
        hint(f"so do tasks of {more} more types")
    return Exit.OK


def _lines(status: Status) -> Iterator[str]:
    yield f"Wait: {status.wait}"
    yield f"Progress: {status.progress}"
    yield f"Done: {status.done}"
    yield ""
    yield f"States: {_counts(status.states)}"
    for name, states in sorted(status.types.items()):
        yield f"Type {name}: {_counts(states)}"
    if status.types_left:
        yield f"... and {status.types_left} more types"
    if status.workers_left:
        yield f"Workers: the newest {len(status.workers)} of {len(status.workers) + status.workers_left}"
    for worker in status.workers:
        since = datetime.fromtimestamp(worker.since).isoformat(" ", "seconds")
        more = f" and {worker.types_left} more" if worker.types_left else ""
        types = ", ".join(sorted(worker.types)) + more
        yield f"Worker {worker.name}: {worker.processes} processes since {since}, serving {types}"
    if not status.workers:
        yield "Workers: none"
    yield f"Manager: {status.version}, store {status.store}"
    if status.others:
        yield f"Other managers of the store: {', '.join(status.others)}"


def _counts(states: Mapping[State, int]) -> str:
    return ", ".join(f"{state.value} {states[state]}" for state in State if state in states)
