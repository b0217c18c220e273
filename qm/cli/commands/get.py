"""get: print the results of tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from qm.cli.arguments import Arguments
from qm.cli.exits import Exit
from qm.cli.output import Output
from qm.cli.terminal import hint, say
from qm.client import Client
from qm.payload import Unopened
from qm.task import State, Task

#: Of several problems, the exit code is that of the first in this order.
_WORST_FIRST: Final = (Exit.NOT_FOUND, Exit.TASK_FAILED, Exit.FAILED, Exit.NOT_FINISHED, Exit.OK)


def get(arguments: Arguments, client: Client, output: Output) -> int:
    """Prints the tasks of all ids; waits for their ends as long as --wait says."""
    return print_results(arguments.ids(), arguments.seconds("--wait") or 0, client, output)


def print_results(ids: Sequence[str], wait: float, client: Client, output: Output) -> int:
    """Prints the results of tasks, and on stderr why others have none. Gives the exit code."""
    ids = list(dict.fromkeys(ids))
    tasks = client.get_many(ids, wait)
    output.tasks(tasks, len(ids))
    found = {task.id: task for task in tasks}
    codes = {_explain(id_, found.get(id_), wait) for id_ in ids}
    return next(code for code in _WORST_FIRST if code in codes)


def _explain(id_: str, task: Task | None, wait: float) -> Exit:
    """Says why there is no result, if so. Gives this task's exit code."""
    if task is None:
        say("qmclient", f"there is no task {id_[:80]!r}")
        hint("it may have been forgotten, or its time to live is over")
        return Exit.NOT_FOUND
    if isinstance(task.output, Unopened):
        error = task.output.error()
        say("qmclient", f"the output of task {id_} is {task.output}")
        if error.hint:
            hint(error.hint)
        return Exit.FAILED
    if task.state is State.DONE:
        return Exit.OK
    if task.state is State.FAILED:
        reason = f" ({task.reason})" if task.error and task.reason else ""
        say("qmclient", f"task {id_} failed: {task.error or task.reason}{reason}")
        return Exit.TASK_FAILED
    if task.state is State.CANCELLED:
        say("qmclient", f"task {id_} was cancelled")
        return Exit.TASK_FAILED
    last = f"; its last attempt failed: {task.error}" if task.error else ""
    say("qmclient", f"task {id_} is still {task.state.value}{last}")
    if not wait:
        hint("--wait TIME waits for its end")
    return Exit.NOT_FINISHED
