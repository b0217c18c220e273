"""How things stand, as the page shows it."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct

from qm.messages import Status, WorkerStatus
from qm.task import ENDED, PROGRESS, WAIT, State
from qm.web.reader import Snapshot
from qm.web.rows import Row, line, row

#: Types and pools in the page; whoever has more is told how many there are.
TYPES_SHOWN: Final = 100
POOLS_SHOWN: Final = 100


class TypeCounts(Struct, frozen=True):
    """The tasks of one type."""

    type: str
    wait: int
    progress: int
    done: int
    failed: int


class Pool(Struct, frozen=True):
    """A connected pool. `types` are the first of them, `more` how many there are beyond these."""

    name: str
    processes: int
    types: list[str]
    more: int
    since: float


class Overview(Struct, frozen=True, kw_only=True):
    """How things stand. `tasks` and `pools` are None where they are not shown; `type_count` counts what
    `types` leaves out, too."""

    version: str
    store: str
    started: float
    draining: bool
    shows_payloads: bool
    #: Where clients and workers connect, if it is not the default; None too where it is not shown.
    rpc: str | None
    wait: int
    progress: int
    done: int
    states: dict[State, int]
    rate: float | None
    types: list[TypeCounts]
    type_count: int
    pool_count: int
    processes: int
    pools: list[Pool] | None
    unserved: list[str]
    tasks: list[Row] | None


def overview(snapshot: Snapshot, show_payloads: bool, rpc: str | None = None) -> Overview:
    """Without `show_payloads` it has counts and types only: no ids, inputs, outputs, errors or workers."""
    status = snapshot.status
    return Overview(
        version=status.version,
        store=status.store,
        started=status.started,
        draining=status.draining,
        shows_payloads=show_payloads,
        rpc=rpc if show_payloads else None,
        wait=status.wait,
        progress=status.progress,
        done=status.done,
        states=status.states,
        rate=_rounded(snapshot.rate),
        types=_types(status),
        type_count=len(status.types) + status.types_left,
        pool_count=len(status.workers) + status.workers_left,
        processes=status.processes,
        pools=[_pool(worker) for worker in status.workers[:POOLS_SHOWN]] if show_payloads else None,
        unserved=status.unserved[:TYPES_SHOWN],
        tasks=[row(task) for task in snapshot.done] if show_payloads else None,
    )


def dated(body: Overview, now: float) -> tuple[bytes, bytes]:
    """The overview as JSON with the manager's time in it, and without: the time alone is no news."""
    essence = msgspec.json.encode(body)
    return b'{"now":' + msgspec.json.encode(now) + b"," + essence[1:], essence


def _rounded(rate: float | None) -> float | None:
    """As exact as people read it; a number that always differs a little would be news at every look."""
    return rate if rate is None else round(rate, 0 if rate >= 100 else 1 if rate >= 10 else 2)


def _types(status: Status) -> list[TypeCounts]:
    """The types with most to do first."""
    found = [_counts(name, states) for name, states in status.types.items()]
    found.sort(key=lambda counts: (-(counts.wait + counts.progress), -counts.done, counts.type))
    return found[:TYPES_SHOWN]


def _counts(name: str, states: dict[State, int]) -> TypeCounts:
    wait, progress, done = (sum(states.get(s, 0) for s in group) for group in (WAIT, PROGRESS, ENDED))
    return TypeCounts(name, wait, progress, done, states.get(State.FAILED, 0))


def _pool(worker: WorkerStatus) -> Pool:
    return Pool(line(worker.name), worker.processes, worker.types, worker.types_left, worker.since)
