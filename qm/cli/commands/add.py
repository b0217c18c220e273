"""add: a task from the command line, or one for each line of a file."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from qm.cli.arguments import Arguments
from qm.cli.commands.get import print_results
from qm.cli.exits import Exit
from qm.cli.meter import meter
from qm.cli.output import Output
from qm.cli.taskfile import Made, TaskFile, decode_json
from qm.cli.terminal import hint, say
from qm.client import Client, new_task
from qm.errors import BadRequest, QueueError


def add(arguments: Arguments, client: Client, output: Output) -> int:
    """Adds what the command line or its file says, and prints the ids; with --wait the results instead."""
    wait = arguments.seconds("--wait")
    name = arguments.text("--file")
    if name is not None:
        ids = _add_file(name, client, output, quiet=wait is not None)
    else:
        ids = [_add_one(arguments, client, output, quiet=wait is not None)]
    if wait is None:
        return Exit.OK
    with _naming(ids):
        return print_results(ids, wait, client, output)


def _add_one(arguments: Arguments, client: Client, output: Output, quiet: bool) -> str:
    task = new_task(
        arguments.text("--type") or "",
        _input(arguments),
        id=arguments.text("--id"),
        priority=arguments.whole("--priority") or 0,
        delay=arguments.seconds("--in") or 0.0,
        attempts=arguments.whole("--attempts"),
    )
    client.add_many([task])
    if not quiet:
        _print_added([Made(task.id, task.type, 0)], output, asked=1)
    return task.id


def _input(arguments: Arguments) -> Any:
    """The input as given; None where none was."""
    text = arguments.text("--input")
    if text is not None:
        return _stdin("--input") if text == "-" else _utf8(text, "--input")
    text = arguments.text("--input-json")
    if text is None:
        return None
    try:
        return decode_json(_stdin("--input-json") if text == "-" else _utf8(text, "--input-json"))
    except BadRequest as error:
        raise BadRequest(f"--input-json: {error}") from None


def _stdin(name: str) -> str:
    """What comes on stdin, without its last line's end: as $(...) of the shell takes it."""
    try:
        return sys.stdin.buffer.read().decode().removesuffix("\n")
    except UnicodeDecodeError as error:
        raise BadRequest(f"{name}: stdin is not UTF-8 (byte {error.start})") from None


def _utf8(text: str, name: str) -> str:
    """Words that are not UTF-8 arrive with lone surrogates in them."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadRequest(f"{name} is not UTF-8") from None
    return text


def _add_file(name: str, client: Client, output: Output, quiet: bool) -> list[str]:
    """Adds the tasks of a file. A bad line ends it; what stands before it is added, and said to be."""
    added = 0

    def on_added(count: int) -> None:
        nonlocal added
        added += count
        shown.show(f"{_count(added)} added", file.read)

    with TaskFile.open(name) as file:
        try:
            with meter("qmclient", file.size) as shown:
                client.add_many(file, on_added)
            if file.error is not None:
                raise file.error
        except (QueueError, KeyboardInterrupt):
            _say_how_far(file, added)
            raise
        finally:
            if not quiet:
                _print_added(file.made[:added], output, asked=0)
    return [task.id for task in file.made]


def _say_how_far(file: TaskFile, added: int) -> None:
    if added:
        say("qmclient", f"{_count(added)} added, up to line {file.made[added - 1].line} of {file.name}")
    if len(file.made) > added:
        hint("some of the lines after it may have been added too; only lines with an id can be said again")


def _print_added(added: Sequence[Made], output: Output, asked: int) -> None:
    """Prints the ids. For people, those of a file are too many: it is their number then."""
    if output.format == "text":
        if asked == 1:
            print(f"Task ID result: {added[0].id}")
        else:
            print(f"{_count(len(added))} added")
    elif output.format == "bare":
        Output("id").stream([{"id": task.id} for task in added])
    else:
        output.records([{"id": task.id, "type": task.type} for task in added], asked)


def _count(tasks: int) -> str:
    return "1 task" if tasks == 1 else f"{tasks:,} tasks"


@contextmanager
def _naming(ids: Sequence[str]) -> Iterator[None]:
    """If the waiting is cut short, says which task it was for: it was added all the same."""
    try:
        yield
    except (QueueError, KeyboardInterrupt):
        if len(ids) == 1:
            hint(f"the task was added; its result: qmclient get --id {ids[0]} --wait 60")
        raise
