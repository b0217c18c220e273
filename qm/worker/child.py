"""A child: loads the operations, then exchanges results for tasks until it is told to leave."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any, Final

import msgspec
from setproctitle import setproctitle

from qm import logs
from qm.client import Client
from qm.clock import boottime
from qm.errors import BadRequest, OperationError, QueueError, Unreachable
from qm.limits import TAKE_MAX
from qm.messages import Exchanged, Fail, Finish, Release, Settlement, Slot, Taken, Verdict
from qm.operations import Operations
from qm.payload import pack_failure
from qm.worker.alarm import Alarm
from qm.worker.config import Broken, ChildConfig, Ready
from qm.worker.execute import describe, execute
from qm.worker.lifeline import Lifeline
from qm.worker.loading import load_operations
from qm.worker.pace import Pace
from qm.worker.page import Page

_log = logging.getLogger(__name__)

#: Seconds that one exchange waits for a task in the manager.
_WAIT: Final = 20.0

#: Seconds for one call's tries before the child looks at its page again.
_PATIENCE: Final = 1.0

#: Seconds before a call that the manager refused is said again: the parent may be re-opening the session.
_REFUSED_PAUSE: Final = 0.2


def main(config: ChildConfig, pipe: Connection, lifeline: Connection, page: Page, alarm: Alarm) -> None:
    """The child's whole life. Ends by returning (drained), or with its parent."""
    os.setpgid(0, 0)  # a task's own subprocesses are killed with us
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave_it_to_the_parent)
    parent = Lifeline(lifeline)
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
        child = Child(client, operations, slot, page, alarm, config.delay)
        parent.on_call(child.settle_early)
        child.work()


class Child:
    """The loop of a child. Owns its page's child fields and its outcomes."""

    def __init__(
        self, client: Client, operations: Operations, slot: Slot, page: Page, alarm: Alarm, delay: float
    ) -> None:
        options = operations.options()
        self._client = client
        self._operations = operations
        self._types = sorted(options)
        self._slot = slot
        self._page = page
        self._alarm = alarm
        self._delay = delay
        self._pace = Pace(1 if delay else min(o.prefetch or TAKE_MAX for o in options.values()))
        #: What has ended and is not known to be settled.
        self._outcomes: list[Settlement] = []
        self._never = threading.Event()

    def work(self) -> None:
        """Exchanges and executes until the page says to leave and everything is settled."""
        while self._outcomes or not self._page.draining:
            self._run(self._exchange())

    def settle_early(self) -> None:
        """From another thread, while a long task runs: hands in what ended before it. The next exchange says
        it again, which is `repeated`, a success."""
        ended = self._outcomes[:]
        finished = [outcome for outcome in ended if isinstance(outcome, Finish)]
        failed = [outcome for outcome in ended if isinstance(outcome, Fail)]
        try:
            if finished:
                self._client.finish_many(finished)
            if failed:
                self._client.fail_many(failed)
        except QueueError as error:
            _log.debug("results wait for the next exchange: %s", error)

    def _run(self, batch: Sequence[Taken]) -> None:
        """Runs a batch, as far as it is not revoked and the session lives. What is left is given back: by the
        parent that revoked it, or since the next exchange does not name it."""
        self._page.hold([taken.lease for taken in batch])
        if len(batch) > 1:
            self._alarm.set()
        began = time.perf_counter()
        for place, taken in enumerate(batch):
            if not self._page.start_running(place):
                break
            if boottime() >= self._page.session_end:
                self._page.stop_running()
                break
            logs.bind(task=taken.id, attempt=taken.lease.attempt)
            self._outcomes.append(execute(self._operations, taken))
            self._page.stop_running()
        if batch:
            logs.unbind("task", "attempt")
            self._pace.note(len(self._outcomes), time.perf_counter() - began)

    def _exchange(self) -> Sequence[Taken]:
        """Settles, for as long as it takes, and takes more. The original's pause comes in between."""
        paused = self._delay > 0 and bool(self._outcomes)
        answer = self._settle_and_take(0 if paused else self._pace.size)
        for outcome, verdict in zip(self._outcomes, answer.verdicts, strict=True):
            if verdict is Verdict.LOST:
                _log.warning("task %s went to another worker, its result is dropped", outcome.lease.id)
        self._outcomes.clear()
        if paused and not self._page.draining:
            self._never.wait(self._delay)
        return answer.tasks

    def _settle_and_take(self, limit: int) -> Exchanged:
        while True:
            if self._page.draining:
                limit = 0
                if not self._outcomes:
                    return Exchanged([], [])
            try:
                return self._client.exchange(self._slot, self._outcomes, self._types, limit, _WAIT)
            except Unreachable as error:  # the client has paused between its tries already
                _log.debug("the manager is away: %s", error)
            except BadRequest as error:
                if not self._outcomes:
                    raise  # we asked for something impossible: dying says so
                self._outcomes[:] = [_refused(outcome, error) for outcome in self._outcomes]
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
