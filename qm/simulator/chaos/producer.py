"""A producer of a chaos run: a process that adds tasks, reads results, and writes down what it was told.

senders  ─ each adds, one by one or many at once; without an answer, it says the same again or leaves it
reader   ─ waits for ends, and notes each result as it was first told
main     ─ says how far it is, and hears the order to stop
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from functools import partial
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any, Final

from msgspec import Struct

from qm.client import Client, new_task
from qm.errors import BadRequest, IdConflict, QueueError
from qm.messages import NewTask
from qm.simulator.chaos.digest import digest
from qm.simulator.chaos.journal import Added, Adding, Journal, Missing, Read, Refused, Unanswered
from qm.simulator.chaos.work import TYPE
from qm.simulator.pipe import Broken, Count, Finished, hear_order, say
from qm.task import ENDED, Task
from qm.wire.address import Address

_SENDERS: Final = 2

#: Seconds that an add tries by itself: less than some faults last, so that some adds stay without an answer.
_PATIENCE: Final = 0.5

#: How often an add without an answer is said again, each time with this chance.
_RESENDS: Final = 3
_RESEND_CHANCE: Final = 0.7

#: Tasks of one producer that have not ended, at most: the queue must be able to drain soon after the faults.
_OPEN_MAX: Final = 200

#: Sizes of an add: mostly single ones, which travel together where they meet.
_SIZES: Final = (1, 1, 1, 1, 5, 20)

#: Seconds between two adds of a sender, at most.
_PAUSE_MAX: Final = 0.03

#: Tasks read in one call, and for how many seconds it waits for their ends.
_BATCH: Final = 100
_LOOK: Final = 0.3

#: Seconds between two words about how far it is.
_TICK: Final = 0.2


class ProducerConfig(Struct, frozen=True, kw_only=True):
    """What a producer has to know."""

    number: int
    seed: int
    addresses: tuple[Address, ...]
    authkey: bytes
    journals: str


def produce(config: ProducerConfig, pipe: Connection) -> None:
    """The whole life of a producer's process."""
    logging.disable(logging.WARNING)
    Producer(config, pipe).run()


def random_input(rng: Random) -> dict[str, Any]:
    """What a task is to do: mostly little, so that many are at every stage when a fault comes."""
    kind = rng.random()
    if kind < 0.6:
        return {"size": rng.choice((0, 0, 0, 50, 3000))}
    if kind < 0.8:
        return {"spin": rng.uniform(0, 0.01)}
    if kind < 0.95:
        return {"sleep": rng.uniform(0, 0.1)}
    if kind < 0.97:
        return {"fails": True}
    return {"sleep": rng.uniform(0.3, 1.5)}


class Producer:
    """Adds and reads until it is told to stop and everything has ended."""

    def __init__(self, config: ProducerConfig, pipe: Connection) -> None:
        self._config = config
        self._pipe = pipe
        self._journal = Journal(Path(config.journals), "producer")
        self._client = Client(config.addresses, config.authkey, tls="", patience=_PATIENCE)
        self._stopped = threading.Event()
        #: Acknowledged tasks that are not known to have ended, and who waits for a change of them.
        self._open: dict[str, None] = {}
        self._changed = threading.Condition()
        self._added = self._ended = 0
        self._broken: str | None = None

    def run(self) -> None:
        """Returns when all is read, or after a bug of ours."""
        threads = [self._start(partial(self._send, number)) for number in range(_SENDERS)]
        threads.append(self._start(lambda: self._read(threads[:_SENDERS])))
        threading.Thread(target=self._listen, daemon=True).start()
        while any(thread.is_alive() for thread in threads):
            threads[-1].join(_TICK)
            self._say(Count(self._added, self._ended))
        self._say(Broken("internal", self._broken, None) if self._broken else Finished(self._added))
        self._client.close()

    def _start(self, work: Callable[[], None]) -> threading.Thread:
        def guarded() -> None:
            try:
                work()
            except Exception as error:  # a bug of ours must not leave the others waiting for ever
                self._broken = f"a producer has a bug: {error!r}"
                self._stopped.set()

        thread = threading.Thread(target=guarded, daemon=True)
        thread.start()
        return thread

    def _send(self, number: int) -> None:
        """A sender."""
        rng = Random(f"{self._config.seed}/{self._config.number}/{number}")
        while not self._stopped.wait(rng.uniform(0, _PAUSE_MAX)):
            with self._changed:
                self._changed.wait_for(lambda: len(self._open) < _OPEN_MAX or self._stopped.is_set(), _TICK)
                if len(self._open) >= _OPEN_MAX:
                    continue
            self._add([new_task(TYPE, random_input(rng)) for _ in range(rng.choice(_SIZES))], rng)

    def _add(self, tasks: list[NewTask], rng: Random) -> None:
        """Adds, if need be several times, and notes what came of each time."""
        ids = [task.id for task in tasks]
        for _ in range(_RESENDS):
            self._journal.write(Adding(ids))
            try:
                self._client.add_many(tasks)
            except (BadRequest, IdConflict) as error:
                self._journal.write(Refused(ids, error.code))
                return
            except QueueError as error:
                self._journal.write(Unanswered(ids, error.code))
                if rng.random() > _RESEND_CHANCE:
                    return
            else:
                self._journal.write(Added(ids))
                with self._changed:
                    self._added += len(ids)
                    self._open.update(dict.fromkeys(ids))
                return

    def _read(self, senders: list[threading.Thread]) -> None:
        """The reader."""
        while self._open or any(sender.is_alive() for sender in senders):
            with self._changed:
                ids = list(islice(self._open, _BATCH))
            try:
                found = {task.id: task for task in self._client.get_many(ids, _LOOK)} if ids else {}
            except QueueError:  # a reading is no promise: it is just made again
                found, ids = {}, []
            self._note({id_: found.get(id_) for id_ in ids})
            if not ids or not found:
                self._stopped.wait(_TICK / 4)

    def _note(self, found: dict[str, Task | None]) -> None:
        over = {id_: task for id_, task in found.items() if task is None or task.state in ENDED}
        self._journal.write(*(_seen(id_, task) for id_, task in over.items()))
        with self._changed:
            for id_ in over:
                del self._open[id_]
            self._ended += len(over)
            self._changed.notify_all()

    def _listen(self) -> None:
        try:
            hear_order(self._pipe)
            self._stopped.set()
            hear_order(self._pipe)
        except (EOFError, OSError):
            os._exit(1)  # nobody is left at the other end

    def _say(self, word: Count | Broken | Finished) -> None:
        try:
            say(self._pipe, word)
        except OSError:
            os._exit(1)


def _seen(id_: str, task: Task | None) -> Read | Missing:
    if task is None:
        return Missing(id_)
    output = digest(task.output) if task.ended_well else None
    return Read(id_, task.state, task.attempt, task.ended, output)
