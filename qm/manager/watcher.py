"""Notices callers that hang up while their call waits.

A thread that sleeps for a task cannot read its socket. One thread watches the sockets of all parked calls by
epoll and wakes those whose peer is gone, so that no task is given to nobody. It sleeps untimed: a thousand
parked calls cost nothing.
"""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from qm.queue.waiter import Waiter

_GONE: Final = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR | select.EPOLLONESHOT


class Watcher(threading.Thread):
    """The thread that watches parked calls."""

    def __init__(self) -> None:
        super().__init__(name="watcher", daemon=True)
        self._poll = select.epoll()
        self._parked: dict[int, Waiter] = {}
        self._lock = threading.Lock()
        self._stop_reader, self._stop_writer = os.pipe2(os.O_CLOEXEC)
        self._poll.register(self._stop_reader, select.EPOLLIN)

    @contextmanager
    def watching(self, fd: int, waiter: Waiter) -> Iterator[None]:
        """While inside, `waiter` hangs up when the peer of `fd` is gone. One call per descriptor."""
        with self._lock:
            self._parked[fd] = waiter
        self._poll.register(fd, _GONE)
        try:
            yield
        finally:
            self._poll.unregister(fd)
            with self._lock:
                del self._parked[fd]

    def run(self) -> None:
        while True:
            for fd, _ in self._poll.poll():
                if fd == self._stop_reader:
                    return
                with self._lock:
                    waiter = self._parked.get(fd)
                if waiter is not None:
                    waiter.hang_up()

    def stop(self) -> None:
        """Ends the thread."""
        os.write(self._stop_writer, b"x")
        self.join()
        self._poll.close()
        os.close(self._stop_reader)
        os.close(self._stop_writer)


class WatchedCaller:
    """The caller at the other end of one connection."""

    def __init__(self, watcher: Watcher, fd: int) -> None:
        self._watcher = watcher
        self._fd = fd

    @contextmanager
    def watched(self, waiter: Waiter) -> Iterator[None]:
        """See `qm.queue.waiter.Caller`."""
        with self._watcher.watching(self._fd, waiter):
            yield
