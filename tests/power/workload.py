"""Producers and workers on a real queue and store, in threads that share commits, all of it recorded."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path
from typing import Final
from unittest.mock import patch

from qm.messages import Claim, Finish, Settlement, Slot, TypeOptions, WorkerInfo
from qm.queue import Queue
from qm.store import Durability
from qm.store.sqlite import SQLiteStore, checkpoint
from qm.testing.contract.samples import new
from tests.power.disk import MAIN
from tests.power.recorder import Event, Recorder

TYPE: Final = "mail"

#: Pages after which the log is moved into the file, and after which it begins anew: so few that both happen
#: many times in one short record.
MOVE, ANEW = 40, 120


def record(folder: Path, durability: Durability, *, threads: int = 3, rounds: int = 30) -> list[Event]:
    """What a store in `folder` does to its files meanwhile."""
    recorder = Recorder()
    with (
        patch.object(checkpoint, "_ENOUGH", MOVE),
        patch.object(checkpoint, "_MUCH", ANEW),
        recorder.recording(),
    ):
        store = SQLiteStore.open(folder / MAIN, durability=durability)
        try:
            _work(Queue(store), recorder, threads, rounds)
        finally:
            store.close()
    return recorder.events


def _work(queue: Queue, recorder: Recorder, threads: int, rounds: int) -> None:
    info = WorkerInfo(session="pool", host="alpha", pid=1, processes=threads, types={TYPE: TypeOptions()})
    queue.attach(info)
    failures: list[BaseException] = []

    def guarded(index: int) -> None:
        try:
            _take_part(queue, recorder, index, rounds)
        except BaseException as error:
            failures.append(error)

    workers = [threading.Thread(target=guarded, args=(index,)) for index in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if failures:
        raise failures[0]


def _take_part(queue: Queue, recorder: Recorder, index: int, rounds: int) -> None:
    """Adds tasks, takes some, says what became of those taken before: as a producer and a child in one."""
    slot, calls = Slot("pool", index, 0), itertools.count()
    settlements: list[Settlement] = []
    for turn in range(rounds):
        tasks = [new(f"t{index}-{turn}-{n}", TYPE, input_=bytes(200 * n + 1)) for n in range(turn % 3 + 1)]
        queue.add(tasks)
        for task in tasks:
            recorder.acknowledge(task.id)
        claim = Claim(slot=slot, call=next(calls), holding=[], types=[TYPE], limit=turn % 4)
        answer = queue.exchange(claim, settlements)
        for settlement in settlements:
            if isinstance(settlement, Finish):
                recorder.acknowledge(settlement.lease.id, settlement.output)
        settlements = [
            Finish(taken.lease, f"{taken.lease.attempt} in {slot.index}-{turn}".encode())
            for taken in answer.tasks
        ]
