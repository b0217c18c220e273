"""A row as others see it: a `PackedTask`."""

from __future__ import annotations

from qm.limits import PREVIEW_MAX
from qm.messages import Details
from qm.store.memory.rows import Record, Row
from qm.store.memory.tables import Tables
from qm.task import PackedAttempt, PackedTask, State


def view(tables: Tables, row: Row) -> PackedTask:
    """The whole task."""
    record = tables.records.get((row.n, row.attempt))
    return PackedTask(
        id=row.id,
        type=row.type,
        input=row.input,
        state=row.state,
        output=row.output,
        error=record.ending.error if record else None,
        reason=row.reason,
        priority=row.priority,
        attempt=row.attempt,
        attempts=row.attempts,
        failures=row.failures,
        crashes=row.crashes,
        lost=row.lost,
        added=row.added,
        due=row.due,
        started=row.started,
        ended=row.ended,
        expires=row.expires,
        timeout=row.timeout,
        worker=row.worker,
        progress=row.progress,
        note=row.note,
        cancelling=row.cancelling and row.state is State.RUNNING,
        input_size=len(row.input),
        output_size=len(row.output or b""),
    )


def preview(tables: Tables, row: Row) -> PackedTask:
    """The task without payloads over `PREVIEW_MAX`."""
    task = view(tables, row)
    if task.input_size > PREVIEW_MAX:
        task.input = b""
    if task.output_size > PREVIEW_MAX:
        task.output = None
    return task


def attempt(record: Record) -> PackedAttempt:
    """An attempt that has ended."""
    details = record.ending.details or Details()
    return PackedAttempt(
        attempt=record.lease.attempt,
        outcome=record.ending.outcome,
        started=record.started or 0.0,
        ended=record.ended,
        worker=record.worker,
        cause=record.ending.cause,
        error=record.ending.error,
        pid=details.pid,
        exitcode=details.exitcode,
        peak_memory=details.peak_memory,
        log=details.log,
    )


def carried(task: PackedTask) -> int:
    """How many bytes of payloads the task carries."""
    return len(task.input) + len(task.output or b"") + len(task.error or b"")
