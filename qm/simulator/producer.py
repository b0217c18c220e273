"""A producer: a process that adds random tasks one by one, waits for their results and judges them.

    main thread ─ adds, pauses, says how far it is
      lanes     ─ each waits for the end of one task, the oldest first
      clerk     ─ reads ended tasks a second time and judges them
      listener  ─ hears the orders, and the end of the simulation's process

The time of a task runs from the call of `Client.add` to the moment when a lane has its result, on this
process's monotonic clock. So it is what a user waits: the round trips and both commits are in it, which the
manager's own `added` and `ended` would leave out. As long as there are at least as many lanes as workers, a
lane is waiting for every task that runs, and no result lies unnoticed. Where all lanes wait for tasks that
hang, results of others are noticed up to `_LOOK` late: times can come out too long, never too short.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Sequence
from itertools import islice
from multiprocessing.connection import Connection
from typing import Final

from msgspec import Struct

from qm.client import Client
from qm.clock import SystemClock
from qm.errors import QueueError
from qm.simulator.audit import judge
from qm.simulator.book import Book, Entry
from qm.simulator.load import Load
from qm.simulator.pipe import Broken, Count, Finished, Judged, Order, Word, hear_order, say
from qm.simulator.plan import Plan
from qm.task import ENDED, Task
from qm.wire.address import Address

#: With the main thread and the clerk as many as the connections that a client keeps.
_LANES: Final = 6

#: Seconds after which a lane looks whether tasks behind its own have ended meanwhile.
_LOOK: Final = 1.0

#: Tasks read in one call.
_BATCH: Final = 200

#: Seconds to wait for a manager that is away: long enough for a restart, which is a fair thing to try.
_PATIENCE: Final = 30.0

#: Seconds between two words about how far it is.
_TICK: Final = 0.1


class ProducerConfig(Struct, frozen=True, kw_only=True):
    """What a producer has to know. `number` counts from 0."""

    number: int
    plan: Plan
    addresses: tuple[Address, ...]
    authkey: bytes
    tls: str = ""


def produce(config: ProducerConfig, pipe: Connection) -> None:
    """The whole life of a producer's process."""
    logging.disable(logging.WARNING)  # what matters goes through the pipe, once
    Producer(config, pipe, _vanish).run()


class Producer:
    """Adds, waits, judges; says over `pipe` what comes of it."""

    def __init__(self, config: ProducerConfig, pipe: Connection, orphaned: Callable[[], object]) -> None:
        """`orphaned` is called when nobody is left at the other end of `pipe`."""
        self._plan = config.plan
        self._share = config.plan.share(config.number)
        self._load = Load(config.plan.seed, config.number, config.plan.encoder_cost)
        self._client = Client(config.addresses, config.authkey, tls=config.tls, patience=_PATIENCE)
        self._clock = SystemClock()
        self._book = Book()
        self._pipe = pipe
        self._orphaned = orphaned
        self._saying = threading.Lock()
        self._told = 0.0
        self._stopped = threading.Event()
        self._broken = False

    def run(self) -> None:
        """Returns when every task sent is judged, or when it had to give up."""
        threading.Thread(target=self._listen, name="listener", daemon=True).start()
        lanes = [self._start(self._wait_for_ends) for _ in range(_LANES)]
        clerk = self._start(self._judge)
        self._guarded(self._add)
        self._book.complete()
        while clerk.is_alive():
            clerk.join(_TICK)
            self._tell()
        if not self._broken:
            self._say(Finished(self._book.sent))
        for lane in lanes:
            lane.join()
        self._client.close()

    def _start(self, work: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=self._guarded, args=(work,), daemon=True)
        thread.start()
        return thread

    def _add(self) -> None:
        for number, job in enumerate(islice(self._load, self._share)):
            if number and self._plan.delay and self._stopped.wait(self._plan.delay):
                break
            if not self._book.wait_for_room():
                break
            began = self._clock.monotonic()
            self._book.note(Entry(self._client.add(job.type, job.input), job, began))
            self._tell()

    def _wait_for_ends(self) -> None:
        """A lane."""
        while (entry := self._book.claim()) is not None:
            if not self._look([entry], _LOOK):
                self._look(self._book.oldest(_BATCH), 0)
            self._book.unclaim(entry)

    def _look(self, entries: Sequence[Entry], wait: float) -> bool:
        """Closes those of `entries` that have ended, or are gone. Gives whether all have."""
        found = self._read(entries, wait)
        now = self._clock.monotonic()
        ended = [entry for entry in entries if (task := found.get(entry.id)) is None or task.state in ENDED]
        for entry in ended:
            self._book.close(entry, found.get(entry.id), now)
        return len(ended) == len(entries)

    def _judge(self) -> None:
        """The clerk."""
        while entries := self._book.to_judge(_BATCH):
            found = self._read(entries, 0)
            records = [judge(e.job, e.id, e.first, found.get(e.id), e.seconds) for e in entries]
            self._say(Judged(records))
            self._book.judged(len(records))

    def _read(self, entries: Sequence[Entry], wait: float) -> dict[str, Task]:
        return {task.id: task for task in self._client.get_many([entry.id for entry in entries], wait)}

    def _guarded(self, work: Callable[[], None]) -> None:
        """Does `work`; what it cannot go on after is told, and ends the producer."""
        try:
            work()
        except QueueError as error:
            self._break(Broken(error.code, str(error), error.hint))
        except Exception as error:  # a bug of ours must not leave the others waiting for ever
            self._break(Broken("internal", f"the simulator has a bug: {error!r}", None))

    def _break(self, word: Broken) -> None:
        self._broken = True
        self._say(word)
        self._book.leave()
        self._stopped.set()

    def _listen(self) -> None:
        """The listener."""
        try:
            while True:
                self._obey(hear_order(self._pipe))
        except (EOFError, OSError):
            self._orphaned()

    def _obey(self, order: Order) -> None:
        self._stopped.set()
        if order is Order.LEAVE:
            self._book.leave()
        else:
            self._book.stop()

    def _tell(self) -> None:
        now = self._clock.monotonic()
        if now - self._told >= _TICK:
            self._told = now
            self._say(Count(self._book.sent, self._book.ended))

    def _say(self, word: Word) -> None:
        try:
            with self._saying:
                say(self._pipe, word)
        except OSError:
            self._orphaned()


def _vanish() -> None:
    """Ends the process at once, whatever its threads wait for: nobody is left to hear the verdict."""
    os._exit(1)
