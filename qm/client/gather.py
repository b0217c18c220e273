"""Single adds of several threads, gathered into frames.

    first     add ─► a frame of its own ─► manager ─► done, and the next in line leads
    others       └─ gather while that frame is out ─► all in one frame, led by the first of them ─► ...

The manager answers a connection's calls one after another, so that adds said one by one would cost a commit
each. Nobody waits for a frame to fill: a thread alone adds at once, and who comes while a frame is out could
not be answered sooner anyway.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from threading import get_ident

from qm.errors import BadRequest, Internal, QueueError, by_code
from qm.limits import ADD_BYTES, ADD_CHUNK
from qm.messages import Added, AddStatus, NewTask


class _Part:
    """One thread's task, and what became of it. The gatherer's lock guards it."""

    status: AddStatus | None = None
    error: QueueError | None = None
    #: Its frame was refused, so that it goes again, in a frame of its own.
    own_frame = False
    #: Says the next frame.
    leads = False
    #: Its thread waits for nothing any more.
    gone = False
    _asleep: threading.Lock | None = None

    def __init__(self, task: NewTask) -> None:
        self.task = task
        #: Those in the frame that it says.
        self.riders: list[_Part] = []

    @property
    def is_settled(self) -> bool:
        """Whether its frame has told it something."""
        return self.own_frame or self.status is not None or self.error is not None

    def prepare_sleep(self) -> None:
        """It will be woken."""
        self._asleep = threading.Lock()
        self._asleep.acquire()

    def sleep(self) -> None:
        """Until somebody wakes it."""
        if self._asleep is not None:
            self._asleep.acquire()

    def wake(self) -> None:
        """Ends its sleep; once more does nothing."""
        if self._asleep is not None and self._asleep.locked():
            self._asleep.release()


class Gatherer:
    """Adds tasks one by one for many threads. A forked child gathers its own.

    An interrupt may come anywhere: so the steps under the lock can be done twice, each leaves what it takes
    from in place until it stands where it goes, and who lost its leader goes in a later frame.
    """

    def __init__(self, say: Callable[[Sequence[NewTask]], Added]) -> None:
        """`say` sends one frame, and may send it again: the second time makes no second task."""
        self._say = say
        self._forget()

    def _forget(self) -> None:
        """After a fork: who leads in the parent does not exist here."""
        self._lock = threading.Lock()
        self._waiting: deque[_Part] = deque()
        self._led = False
        #: The threads that are adding.
        self._threads: set[int] = set()
        self._pid = os.getpid()  # last: a second thread must not pass before the rest is done

    def add(self, task: NewTask) -> AddStatus:
        """What became of the task. Raises what `say` raises; a task that the manager refuses fails alone."""
        if os.getpid() != self._pid:
            self._forget()
        thread = get_ident()
        if thread in self._threads:  # a signal handler, or a finalizer, in the middle of an add
            return self._say([task]).statuses[0]
        part = _Part(task)
        try:
            with self._lock:
                self._threads.add(thread)
                if self._led:
                    part.prepare_sleep()
                    self._waiting.append(part)
                else:
                    part.leads = self._led = True
            status = self._say([task]).statuses[0] if part.leads else self._ride(part)
            with self._lock:
                self._leave(thread, part)
        except BaseException:
            with self._lock:
                self._leave(thread, part)
            raise
        return status

    def _ride(self, part: _Part) -> AddStatus:
        """Sleeps until another's frame has carried it, or until it leads the next."""
        part.sleep()
        if part.leads:
            self._lead(part)
        if part.error is not None:
            raise by_code(part.error.code, str(part.error), part.error.hint)
        if part.status is None:
            part.status = self._say([part.task]).statuses[0]
        return part.status

    def _lead(self, part: _Part) -> None:
        """One frame with this task and those that have gathered."""
        self._take_along(part)
        try:
            added = self._say([part.task, *(rider.task for rider in part.riders)])
        except (BadRequest, Internal):
            if not part.riders:
                raise
            for rider in part.riders:
                rider.own_frame = True
        except QueueError as error:
            for rider in part.riders:
                rider.error = error
            raise
        else:
            for one, status in zip((part, *part.riders), added.statuses, strict=True):
                one.status = status
        with self._lock:
            self._hand_over(part)

    def _take_along(self, part: _Part) -> None:
        size = len(part.task.input)
        with self._lock:
            while self._waiting and len(part.riders) + 1 < ADD_CHUNK:
                rider = self._waiting[0]
                size += len(rider.task.input)
                if size > ADD_BYTES:
                    return
                part.riders.append(rider)
                self._waiting.popleft()

    def _leave(self, thread: int, part: _Part) -> None:
        """With the lock held."""
        part.gone = True
        self._threads.discard(thread)
        if part.leads:
            self._hand_over(part)
        elif self._waiting and part in self._waiting:  # interrupted
            self._waiting.remove(part)

    def _hand_over(self, part: _Part) -> None:
        """With the lock held: wakes the riders and then the next leader."""
        while part.riders:
            rider = part.riders[-1]
            if rider.is_settled:
                rider.wake()
            elif not rider.gone and rider not in self._waiting:
                self._waiting.appendleft(rider)
            part.riders.pop()
        if self._waiting:
            self._waiting[0].leads = True
            self._waiting[0].wake()
            self._waiting.popleft()
        else:
            self._led = False
        part.leads = False
