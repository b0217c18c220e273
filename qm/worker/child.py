"""The loop of a child: it exchanges results for tasks until it is told to leave."""

from __future__ import annotations

import logging
import os
import resource
import threading
import time
from collections.abc import Sequence
from typing import Final

from qm import logs
from qm.client import Client
from qm.clock import boottime
from qm.errors import BadRequest, QueueError, SessionLost, Unreachable
from qm.limits import LOG_MAX, LOG_MAX_OK, TAKE_MAX
from qm.messages import Details, Exchanged, Fail, Finish, Release, Settlement, Slot, Taken, Verdict
from qm.operations import Operations
from qm.payload import pack_failure, unpack_failure
from qm.task import Outcome
from qm.worker import pauses
from qm.worker.alarm import Alarm
from qm.worker.execute import describe, execute, was_shut
from qm.worker.interrupt import Interrupts
from qm.worker.output import Output
from qm.worker.pace import Pace
from qm.worker.page import Page

_log = logging.getLogger(__name__)

#: Seconds that one exchange waits for a task in the manager.
_WAIT: Final = 20.0

#: The longest time in seconds until the parent looks at a task that runs alone.
_LOOK: Final = 5.0

#: Seconds that an alarm must be off to be trusted with the task that we are about to start.
_MARGIN: Final = 0.05

#: Seconds before a call is said again whose session is lost: the parent may be re-opening it.
_REFUSED_PAUSE: Final = 0.2

#: Seconds before the next take of a child that could not open a task: it fails faster than others work, and
#: would drain the queue of what they could do.
_SHUT_PAUSE: Final = 1.0


class Child:
    """The loop of a child. Owns its page's child fields and its outcomes."""

    def __init__(
        self,
        client: Client,
        operations: Operations,
        slot: Slot,
        page: Page,
        alarm: Alarm,
        output: Output,
        delay: float,
    ) -> None:
        options = operations.options()
        self._client = client
        self._operations = operations
        self._types = sorted(options)
        self._slot = slot
        self._page = page
        self._alarm = alarm
        #: When it goes off.
        self._looked_at = 0.0
        self._output = output
        self._pid = os.getpid()
        self._interrupts = Interrupts(page)
        self._delay = delay
        self._pace = Pace(1 if delay else min(o.prefetch or TAKE_MAX for o in options.values()))
        #: A task has closed our descriptors: after its results, another process takes our place.
        self._robbed = False
        #: We have left tasks of the last batch unstarted, since the session was over.
        self._left = False
        #: We could not open the last task; see `qm.worker.execute.was_shut`.
        self._shut_out = False
        #: What has ended and is not known to be settled.
        self._outcomes: list[Settlement] = []
        self._never = threading.Event()
        #: Our parent has told us to leave; it ends the pause between two tasks.
        self._leaving = threading.Event()
        #: Asked once: a task that ends well costs no more than the look.
        self._tells_all = _log.isEnabledFor(logging.DEBUG)

    def work(self) -> None:
        """Exchanges and executes until the page says to leave and everything is settled."""
        self._interrupts.listen()
        while self._outcomes or not (self._page.draining or self._robbed):
            self._run(self._exchange())
            self._robbed = self._robbed or not self._output.intact()

    def settle_early(self) -> None:
        """From another thread, while a long task runs: hands in what ended before it. The next exchange says
        it again, which is `repeated`, a success. Ends a pause, if we have to leave."""
        if self._page.draining:
            self._leaving.set()
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
        self._page.hold([taken.lease for taken in batch], [taken.timeout for taken in batch])
        if batch:
            self._be_watched(batch)
            self._mark()
        began = time.perf_counter()
        for place, taken in enumerate(batch):
            now = boottime()
            if not self._page.start_running(place, now):
                break
            if now >= self._page.session_end:
                self._page.stop_running()
                self._left = True
                break
            logs.bind(task=taken.id, attempt=taken.lease.attempt)
            outcome = execute(self._operations, taken)
            if os.getpid() != self._pid:
                _end_fork(outcome)
            if type(outcome) is not Finish or self._output.written() or self._interrupts.told:
                outcome = self._detailed(outcome)
                self._shut_out = was_shut(taken)
            self._outcomes.append(outcome)
            self._page.stop_running()
            if self._tells_all or type(outcome) is Fail:
                _tell(taken, outcome, boottime() - now)
            if self._shut_out or self._robbed:
                break
        if batch:
            logs.unbind("task", "attempt")
            self._pace.note(len(self._outcomes), time.perf_counter() - began)

    def _be_watched(self, batch: Sequence[Taken]) -> None:
        """Has the parent look at us in time: at a batch early, since its tasks wait for one another; at a
        task alone before it is over its limit, which needs no timer where one goes off until then anyhow."""
        now = boottime()
        if len(batch) > 1:
            soon = min((taken.timeout for taken in batch if taken.timeout > 0), default=_LOOK)
            soon = min(soon, self._alarm.seconds)
        else:
            soon = batch[0].timeout or _LOOK
            if now + _MARGIN < self._looked_at <= now + soon:
                return
            soon = min(soon, _LOOK)
        self._alarm.set(soon)
        self._looked_at = now + soon

    def _mark(self) -> None:
        """What is written from here on is the next task's."""
        if self._output.written():
            self._page.written = self._output.mark()

    def _detailed(self, outcome: Settlement) -> Settlement:
        """The outcome of a task that was not quiet, with what the flight recorder keeps of it."""
        self._robbed = self._robbed or not self._output.intact()
        told, self._interrupts.told = self._interrupts.told, None
        most = LOG_MAX_OK if isinstance(outcome, Finish) else LOG_MAX
        details = Details(
            pid=os.getpid(),
            peak_memory=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            log="" if self._robbed else self._output.tail(self._output.start, most),
        )
        if not self._robbed:
            self._mark()
        if isinstance(outcome, Finish):
            return Finish(outcome.lease, outcome.output, details)
        if isinstance(outcome, Fail):
            return Fail(outcome.lease, outcome.error, outcome.retryable, told or outcome.outcome, details)
        return outcome

    def _exchange(self) -> Sequence[Taken]:
        """Settles, for as long as it takes, and takes more. The original's pause comes in between."""
        pause = self._pause() if self._outcomes else 0.0
        answer = self._settle_and_take(0 if pause else self._pace.size)
        for outcome, verdict in zip(self._outcomes, answer.verdicts, strict=True):
            if verdict is Verdict.LOST:
                _log.warning("task %s went to another worker, its result is dropped", outcome.lease.id)
        self._outcomes.clear()
        if pause and not self._page.draining:
            self._leaving.wait(pause)
        return answer.tasks

    def _pause(self) -> float:
        """Seconds between what has ended and what comes next."""
        if not self._shut_out:
            return self._delay
        self._shut_out = False
        _log.error(
            "a task's input could not be opened, and it was not run: see its error, and QM_PAYLOAD_KEYS"
        )
        return max(self._delay, _SHUT_PAUSE)

    def _settle_and_take(self, limit: int) -> Exchanged:
        while True:
            if self._page.draining or self._robbed:
                limit = 0
                if not self._outcomes:
                    return Exchanged([], [])
            lives = boottime() < self._page.session_end
            if not (lives or self._outcomes or self._left):
                self._leaving.wait(_REFUSED_PAUSE)  # what we took now we could not start
                continue
            try:
                some = limit if lives else 0
                answer = self._client.exchange(self._slot, self._outcomes, self._types, some, _WAIT)
                self._left = False
                return answer
            except Unreachable as error:  # the client has paused between its tries already
                _log.debug("the manager is away: %s", error)
            except BadRequest as error:
                if not self._outcomes:
                    raise  # we asked for something impossible: dying says so
                self._outcomes[:] = [_refused(outcome, error) for outcome in self._outcomes]
            except QueueError as error:
                lost = isinstance(error, SessionLost)  # our parent says more of that
                level = logging.DEBUG if lost else logging.WARNING
                _log.log(level, "the manager refused an exchange, trying again: %s", error)
                self._never.wait(_REFUSED_PAUSE if lost else pauses.after(error))


def _tell(taken: Taken, outcome: Settlement, seconds: float) -> None:
    """Says in the log how an attempt ended. Not the error's text: it may show what the task carries."""
    if not isinstance(outcome, Fail):
        _log.debug("%s: ended well after %.3f s", taken.type, seconds)
        return
    kind = unpack_failure(outcome.error).type
    level = logging.INFO if outcome.outcome is Outcome.CANCELLED else logging.WARNING
    _log.log(level, "%s: %s after %.3f s; see: qmclient show %s", taken.type, kind, seconds, taken.id)


def _end_fork(outcome: Settlement) -> None:
    """A fork that the task made has come back from it, by a return or an exception. It would work on as a
    second child with our slot and our page; and its outcome is not the task's."""
    how = f": {unpack_failure(outcome.error)}" if isinstance(outcome, Fail) else ""
    _log.error("a process that the task forked came back from it, and ends; it should call os._exit")
    os.write(2, f"the fork {os.getpid()} came back{how}\n".encode("utf-8", "backslashreplace"))
    os._exit(1)


def _refused(settlement: Settlement, error: BadRequest) -> Settlement:
    """What to say instead of a settlement that the manager will never accept."""
    if isinstance(settlement, Finish):
        packed = pack_failure(describe(error))
        return Fail(settlement.lease, packed, retryable=False, details=settlement.details)
    if isinstance(settlement, Release):
        raise error
    return Release(settlement.lease)
