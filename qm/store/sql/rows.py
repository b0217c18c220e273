"""Rows of the queries as what the store gives."""

from __future__ import annotations

from typing import Any

import msgspec

from qm.messages import TypeOptions, WorkerInfo
from qm.store.base import Held
from qm.store.sql.part import Row
from qm.task import Attempt, Lease, Outcome, PackedAttempt, PackedTask, State, Task

_types_decoder = msgspec.msgpack.Decoder(dict[str, TypeOptions])


def held_of(row: Row) -> Held:
    """A row of the queries held, held_by_session and leased."""
    id_, attempt, token, name, failures, crashes, lost, attempts, started, cancelling = row
    return Held(
        lease=Lease(id_, attempt, token),
        type=name,
        failures=failures,
        crashes=crashes,
        lost=lost,
        attempts=attempts,
        started=started,
        cancelling=bool(cancelling),
    )


def attempt_of(row: Row) -> PackedAttempt:
    """A row of the query attempts."""
    attempt, outcome, started, ended, worker, cause, error, pid, exitcode, peak_memory, log = row
    return Attempt(
        attempt=attempt,
        outcome=Outcome(outcome),
        started=started,
        ended=ended,
        worker=worker,
        cause=cause,
        error=error,
        pid=pid,
        exitcode=exitcode,
        peak_memory=peak_memory,
        log=log,
    )


def worker_of(row: Row) -> WorkerInfo:
    """A row of the query sessions."""
    session, host, pid, processes, types = row
    return WorkerInfo(
        session=session, host=host, pid=pid, processes=processes, types=_types_decoder.decode(types)
    )


#: The columns of the queries `get` and `page`, in order, behind n.
_COLUMNS = (
    *("id", "type", "input", "state", "output", "reason", "priority", "attempt", "attempts"),
    *("failures", "crashes", "lost", "added", "due", "started", "ended", "expires", "timeout"),
    *("worker", "progress", "note", "cancelling", "input_size", "output_size", "error"),
)


def task_of(row: Row) -> PackedTask:
    """A row of the queries get and page."""
    fields: dict[str, Any] = dict(zip(_COLUMNS, row[1:], strict=True))
    fields["state"] = State(fields["state"])
    fields["cancelling"] = bool(fields["cancelling"])
    if fields["state"] is State.DONE:
        fields["error"] = None
    return Task(**fields)
