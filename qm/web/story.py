"""One task with all that is known of it, as the page shows it."""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from qm.logs import printable
from qm.payload import show_text
from qm.task import Outcome, PackedAttempt, PackedTask, State
from qm.web.preview import show_error, show_input, show_output
from qm.web.reader import Story
from qm.web.rows import line

#: Attempts in one answer, newest first; the older ones by `before`.
ATTEMPTS_SHOWN: Final = 20

#: Characters of a payload, and of a log: its last ones, which say most.
_PAYLOAD: Final = 4096
_LOG: Final = 16 * 1024


class ShownError(Struct, frozen=True):
    """What went wrong."""

    type: str
    message: str
    traceback: str


class ShownAttempt(Struct, frozen=True, kw_only=True):
    """An attempt that has ended: see `qm.task.Attempt`. `log` is the end of it."""

    attempt: int
    outcome: Outcome
    started: float
    ended: float
    worker: str | None
    cause: str | None
    error: ShownError | None
    pid: int | None
    exitcode: int | None
    peak_memory: int | None
    log: str


class ShownTask(Struct, frozen=True, kw_only=True):
    """A task: see `qm.task.Task`. Sizes are bytes, packed."""

    id: str
    type: str
    state: State
    reason: str | None
    input: str
    input_size: int
    output: str | None
    output_size: int
    priority: int
    attempt: int
    failures: int
    attempts: int | None
    crashes: int
    lost: int
    added: float
    due: float | None
    started: float | None
    ended: float | None
    expires: float | None
    timeout: float | None
    worker: str | None
    progress: float | None
    note: str | None
    cancelling: bool


class Shown(Struct, frozen=True):
    """The answer; `more`: there are older attempts, asked for by `before` the last one's number."""

    task: ShownTask
    attempts: list[ShownAttempt]
    more: bool


def shown(story: Story) -> Shown:
    """A task and its newest attempts."""
    attempts = [_attempt(attempt) for attempt in story.attempts[:ATTEMPTS_SHOWN]]
    return Shown(_task(story.task), attempts, bool(attempts) and attempts[-1].attempt > 1)


def _task(task: PackedTask) -> ShownTask:
    done = task.state is State.DONE
    return ShownTask(
        id=task.id,
        type=task.type,
        state=task.state,
        reason=line(task.reason, _PAYLOAD) if task.reason else None,
        input=_payload(show_input(task, full=True)),
        input_size=task.input_size,
        output=_payload(show_output(task, full=True)) if done else None,
        output_size=task.output_size,
        priority=task.priority,
        attempt=task.attempt,
        failures=task.failures,
        attempts=task.attempts,
        crashes=task.crashes,
        lost=task.lost,
        added=task.added,
        due=task.due,
        started=task.started,
        ended=task.ended,
        expires=task.expires,
        timeout=task.timeout,
        worker=line(task.worker) if task.worker else None,
        progress=task.progress,
        note=line(show_text(task.note), _PAYLOAD) if task.note else None,
        cancelling=task.cancelling,
    )


def _attempt(attempt: PackedAttempt) -> ShownAttempt:
    return ShownAttempt(
        attempt=attempt.attempt,
        outcome=attempt.outcome,
        started=attempt.started,
        ended=attempt.ended,
        worker=line(attempt.worker) if attempt.worker else None,
        cause=line(attempt.cause, _PAYLOAD) if attempt.cause else None,
        error=_error(attempt.error) if attempt.error else None,
        pid=attempt.pid,
        exitcode=attempt.exitcode,
        peak_memory=attempt.peak_memory,
        log=_block(show_text(attempt.log)[-_LOG:]),
    )


def _error(packed: bytes) -> ShownError:
    failure = show_error(packed)
    return ShownError(line(failure.type), _block(failure.message), _block(failure.traceback))


def _payload(text: str) -> str:
    return _block(text) if len(text) <= _PAYLOAD else _block(text[:_PAYLOAD]) + "…"


def _block(text: str) -> str:
    """`text` with its lines and tabs as they are, and the rest as `printable` has it."""
    return "".join(part if part in "\n\t" else printable(part) for part in re.split(r"([\n\t])", text))
