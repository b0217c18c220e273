"""One call after the other: how long it takes, and what both ends and the store alone spend on it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import msgspec

from benchmarks.stage import Stage, stage
from benchmarks.timing import median
from benchmarks.usage import cpu_seconds
from qm import new_task
from qm.messages import Finish as Finished
from qm.messages import NewTask, Settlement, Slot, TypeOptions, WorkerInfo
from qm.store import Durability
from qm.store.sqlite import SQLiteStore

_TIMES: Final = 2_000
_TYPE: Final = "anatomy"
_SLOT: Final = Slot("anatomy", 0, 0)
_WORKER: Final = WorkerInfo(
    session=_SLOT.session, host="here", pid=1, processes=1, types={_TYPE: TypeOptions()}
)


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds of one call: by the clock (median), and the CPU of the client and of the manager."""

    wall: float
    client: float
    manager: float


def adds(durability: str) -> Call:
    """`Client.add`, one after the other."""
    with stage(durability) as here:
        client, numbers = here.client(), itertools.count()
        return _measured(here, lambda: client.add(_TYPE, next(numbers)))


def exchanges(durability: str) -> Call:
    """A worker's round trip: settles the last task and takes the next."""
    with stage(durability) as here:
        client = here.client()
        client.attach(_WORKER)
        client.add_many(new_task(_TYPE, n) for n in range(_TIMES + _TIMES // 10 + 1))
        settlements: list[Settlement] = []

        def once() -> None:
            answer = client.exchange(_SLOT, settlements, [_TYPE], 1)
            settlements[:] = [Finished(answer.tasks[0].lease, b"\x01")]

        return _measured(here, once)


def statuses(durability: str) -> Call:
    """`Client.status`: a call that no store is asked for."""
    with stage(durability) as here:
        return _measured(here, here.client().status)


def store(durability: Durability, folder: Path) -> float:
    """Seconds of an add in the store alone, in this process."""
    with TemporaryDirectory(dir=folder) as name:
        opened = SQLiteStore.open(Path(name) / "queue.db", durability=durability)
        tasks: list[NewTask] = [new_task(_TYPE, n) for n in range(_TIMES)]
        found = [_seconds(lambda task=task: opened.add([task], time.time())) for task in tasks]  # type: ignore[misc]
        opened.close()
    return median(found)


def _measured(here: Stage, once: Callable[[], object]) -> Call:
    for _ in range(_TIMES // 10):
        once()
    client, manager = time.process_time(), cpu_seconds([here.manager])
    found = [_seconds(once) for _ in range(_TIMES)]
    return Call(
        wall=median(found),
        client=(time.process_time() - client) / _TIMES,
        manager=(cpu_seconds([here.manager]) - manager) / _TIMES,
    )


def _seconds(once: Callable[[], object]) -> float:
    start = time.perf_counter()
    once()
    return time.perf_counter() - start
