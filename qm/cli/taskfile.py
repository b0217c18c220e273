"""A file with a task in each line, as JSON: what `qmclient add --file` reads."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple

import msgspec

from qm.cli.arguments import seconds
from qm.client import new_task
from qm.errors import BadRequest
from qm.messages import NewTask


class Line(msgspec.Struct, forbid_unknown_fields=True):
    """A line: a task as `new_task` takes it. `in`, as on the command line, may be said for `delay`."""

    type: str
    input: Any = None
    id: str | None = None
    priority: int = 0
    delay: float | str = 0.0
    in_: float | str = msgspec.field(default=0.0, name="in")
    attempts: int | None = None
    timeout: float | None = None
    keep: float | None = None

    def task(self) -> NewTask:
        """The task it says. Raises `BadRequest`."""
        delay = self.in_ or self.delay
        return new_task(
            self.type,
            self.input,
            id=self.id,
            priority=self.priority,
            delay=seconds(delay, "in") if isinstance(delay, str) else delay,
            attempts=self.attempts,
            timeout=self.timeout,
            keep=self.keep,
        )


class Made(NamedTuple):
    """A task that was made of a line, and the line's number."""

    id: str
    type: str
    line: int


class TaskFile:
    """Gives the tasks in the lines of a file, and remembers what it gave.

    Ends at the first bad line, with `error`: so what stands before it can be added in peace.
    """

    def __init__(self, source: BinaryIO, name: str, size: int | None) -> None:
        self._source = source
        #: For people: "stdin" for "-".
        self.name = name
        #: Bytes in the file, where that is known, and bytes read of them.
        self.size = size
        self.read = 0
        self.made: list[Made] = []
        self.error: BadRequest | None = None

    @classmethod
    def open(cls, name: str) -> TaskFile:
        """The file `name`; "-" is stdin. Raises `BadRequest` where it cannot be opened."""
        if name == "-":
            return cls(sys.stdin.buffer, "stdin", None)
        try:
            source = Path(name).open("rb")  # noqa: SIM115 - __exit__ closes it
        except OSError as error:
            raise BadRequest(f"cannot read {name}: {error.strerror}") from None
        info = os.fstat(source.fileno())
        return cls(source, name, info.st_size if stat.S_ISREG(info.st_mode) else None)

    def __enter__(self) -> TaskFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._source is not sys.stdin.buffer:
            self._source.close()

    def __iter__(self) -> Iterator[NewTask]:
        for number, text in enumerate(self._source, 1):
            self.read += len(text)
            if text.isspace():
                continue
            try:
                task = decode_json(text, Line).task()
            except BadRequest as error:
                self.error = BadRequest(f"{self.name} line {number}: {error}", hint=error.hint)
                return
            self.made.append(Made(task.id, task.type, number))
            yield task


def decode_json(text: str | bytes, type: Any = Any) -> Any:
    """The value in `text`, as `type`. Raises `BadRequest`."""
    try:
        return msgspec.json.decode(text, type=type)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise BadRequest(str(error)) from None
