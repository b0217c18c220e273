"""cancel, requeue, forget: change tasks. One that runs can only be cancelled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qm.cli.arguments import Arguments
from qm.cli.exits import Exit, code_of
from qm.cli.output import Output
from qm.cli.terminal import hint, say
from qm.client import Client
from qm.errors import NotFound, WrongState
from qm.task import State


def cancel(arguments: Arguments, client: Client, output: Output) -> int:
    """Ends tasks: those that run as soon as their workers have stopped them."""
    return _change(client.cancel, State.CANCELLED, arguments, output)


def requeue(arguments: Arguments, client: Client, output: Output) -> int:
    """Gives failed tasks another chance."""
    return _change(client.requeue, State.WAITING, arguments, output)


def forget(arguments: Arguments, client: Client, output: Output) -> int:
    """Deletes ended tasks."""
    return _change(client.forget, None, arguments, output)


def _change(
    verb: Callable[[str], State | None], after: State | None, arguments: Arguments, output: Output
) -> int:
    """Changes the tasks of all ids, one by one: what cannot be changed does not keep the others from it."""
    ids = arguments.ids()
    changed: list[dict[str, Any]] = []
    code: int = Exit.OK
    for id_ in ids:
        try:
            state = verb(id_)
        except (NotFound, WrongState) as error:
            say("qmclient", str(error))
            if error.hint:
                hint(error.hint)
            code = code or code_of(error)
        else:
            changed.append({"id": id_, "state": state or after})
    _print(changed, len(ids), output)
    return code


def _print(changed: list[dict[str, Any]], asked: int, output: Output) -> None:
    if output.format == "text":
        for record in changed:
            print(f"Task ID: {record['id']}\tState: {_word(record['state'])}")
    elif output.format == "bare":
        Output("id").stream(changed)
    else:
        output.records(changed, asked)


def _word(state: State | None) -> str:
    if state is None:
        return "forgotten"
    return "running, its worker has been told to stop it" if state is State.RUNNING else state.value
