"""What the commands of qmclient print: which format, and how."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any, Final

from qm.cli.arguments import Arguments
from qm.cli.rendering import bare, cell, fields_of, original_line, to_json
from qm.cli.terminal import is_terminal
from qm.errors import BadRequest
from qm.payload import Unopened
from qm.task import Task

FORMATS: Final = ("text", "json", "jsonl", "id")


class Output:
    """stdout, in one of `FORMATS`, or "bare": what a pipe gets that asked for no format."""

    def __init__(self, format: str | None = None) -> None:
        """`format` None: text on a terminal, else bare."""
        self.format = format or ("text" if is_terminal() else "bare")

    @classmethod
    def of(cls, arguments: Arguments) -> Output:
        """As -o and --json say. Raises `BadRequest`."""
        wanted = arguments.one_of("-o", FORMATS)
        if arguments.has("--json"):
            if wanted not in (None, "json"):
                raise BadRequest(f"--json is -o json; -o {wanted} is something else")
            wanted = "json"
        return cls(wanted)

    def tasks(self, tasks: Sequence[Task], asked: int) -> None:
        """Tasks and their results; `asked` is how many were asked for: one alone is no list.

        Text and bare values are of results, so tasks without one are left out of them, and sealed ones too.
        """
        if self.format in ("json", "jsonl", "id"):
            self.records([fields_of(task) for task in tasks], asked)
            return
        for task in tasks:
            if not task.ended_well or isinstance(task.output, Unopened):
                continue
            if self.format == "text":
                print(original_line(task))
            elif asked > 1:
                print(task.id, cell(task.output), sep="\t")
            else:
                _print_bare(task.output)

    def records(self, records: Sequence[dict[str, Any]], asked: int) -> None:
        """Records that have an id, for json, jsonl and id."""
        if self.format == "json":
            for document in records[:1] if asked == 1 else [records]:
                print(to_json(document, indent=2))
        else:
            self.stream(records)

    def stream(self, records: Iterable[dict[str, Any]]) -> None:
        """Records that have an id, a line for each, as they come: for jsonl and id."""
        for record in records:
            print(to_json(record) if self.format == "jsonl" else record["id"])


def _print_bare(value: Any) -> None:
    """A result as it is: the bytes of bytes, the characters of a text, anything else as JSON."""
    if isinstance(value, bytes):
        sys.stdout.flush()
        sys.stdout.buffer.write(value)
    else:
        print(bare(value))
