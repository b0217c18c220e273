"""A child: loads the operations, then exchanges results for tasks until it is told to leave."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from multiprocessing.connection import Connection
from typing import Any, Final

import msgspec
from setproctitle import setproctitle

from qm import logs
from qm.client import Client
from qm.clock import boottime
from qm.errors import BadRequest, OperationError, QueueError, Unreachable
from qm.messages import Exchanged, Fail, Finish, Release, Settlement, Slot, Taken, Verdict
from qm.operations import Operations
from qm.payload import pack_failure
from qm.worker.config import Broken, ChildConfig, Ready
from qm.worker.execute import describe, execute
from qm.worker.lifeline import die_with_parent
from qm.worker.loading import load_operations
from qm.worker.page import Page

_log = logging.getLogger(__name__)

#: Seconds that one exchange waits for a task in the manager.
_WAIT: Final = 20.0

#: Seconds for one call's tries before the child looks at its page again.
_PATIENCE: Final = 1.0

#: Seconds before a call that the manager refused is said again: the parent may be re-opening the session.
_REFUSED_PAUSE: Final = 0.2


def main(config: ChildConfig, pipe: Connection, lifeline: Connection, page: Page) -> None:
    """The child's whole life. Ends by returning (drained), or with its parent."""
    os.setpgid(0, 0)  # a task's own subprocesses are killed with us
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave_it_to_the_parent)
    die_with_parent(lifeline)
    setproctitle("qmworker: child")
    logs.configure(config.log_level, config.log_format, "qmworker")
    try:
        operations = load_operations(config.load, config.types)
    except OperationError as error:
        pipe.send_bytes(msgspec.msgpack.encode(Broken(str(error))))
        return
    pipe.send_bytes(msgspec.msgpack.encode(Ready(operations.options())))
    slot = msgspec.msgpack.decode(pipe.recv_bytes(), type=Slot)
    logs.bind(worker=f"{socket.gethostname()}:{os.getppid()}/{slot.index}")
    with Client(config.address, config.authkey, patience=_PATIENCE) as client:
        Child(client, operations, slot, page, config.delay).work()


class Child:
    """The loop of a child. Owns its connection and its page's child fields; nothing else."""

    def __init__(self, client: Client, operations: Operations, slot: Slot, page: Page, delay: float) -> None:
        self._client = client
        self._operations = operations
        self._types = sorted(operations.options())
        self._slot = slot
        self._page = page
        self._delay = delay
        self._never = threading.Event()

    def work(self) -> None:
        """Exchanges and executes until the page says to leave and everything is settled."""
        settlements: list[Settlement] = []
        while settlements or not self._page.draining:
            tasks = self._exchange(settlements)
            settlements = [self._run(place, taken) for place, taken in enumerate(tasks)]

    def _run(self, place: int, taken: Taken) -> Settlement:
        self._page.start_running(place)
        # looked at after the page says what runs: the parent never takes back what has been started
        if boottime() >= self._page.session_end:
            self._page.stop_running()
            return Release(taken.lease)
        logs.bind(task=taken.id, attempt=taken.lease.attempt)
        try:
            return execute(self._operations, taken)
        finally:
            self._page.stop_running()
            logs.unbind("task", "attempt")

    def _exchange(self, settlements: list[Settlement]) -> list[Taken]:
        """Settles, for as long as it takes, and takes more. The original's pause comes in between."""
        paused = self._delay > 0 and bool(settlements)
        answer = self._settle_and_take(settlements, 0 if paused else 1)
        if paused and not self._page.draining:
            self._never.wait(self._delay)
        for settlement, verdict in zip(settlements, answer.verdicts, strict=True):
            if verdict is Verdict.LOST:
                _log.warning("task %s went to another worker, its result is dropped", settlement.lease.id)
        self._page.hold([taken.lease for taken in answer.tasks])
        return list(answer.tasks)

    def _settle_and_take(self, settlements: list[Settlement], limit: int) -> Exchanged:
        while True:
            if self._page.draining:
                limit = 0
                if not settlements:
                    return Exchanged([], [])
            try:
                return self._client.exchange(self._slot, settlements, self._types, limit, _WAIT)
            except Unreachable as error:  # the client has paused between its tries already
                _log.debug("the manager is away: %s", error)
            except BadRequest as error:
                settlements = [_refused(settlement, error) for settlement in settlements]
            except QueueError as error:
                _log.warning("the manager refused an exchange, trying again: %s", error)
                self._never.wait(_REFUSED_PAUSE)


def _refused(settlement: Settlement, error: BadRequest) -> Settlement:
    """What to say instead of a settlement that the manager will never accept."""
    if isinstance(settlement, Finish):
        return Fail(settlement.lease, pack_failure(describe(error)), retryable=False)
    if isinstance(settlement, Release):
        raise error
    return Release(settlement.lease)


def _leave_it_to_the_parent(number: int, frame: Any) -> None:
    """Only the parent drains. A handler that does nothing; SIG_IGN a task's programs would inherit."""
