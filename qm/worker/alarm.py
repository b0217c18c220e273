"""A timer that a child sets and its parent hears: one system call per batch, and none that polls.

A kernel timer as a descriptor (timerfd), shared by both. Python 3.13 brings it in `os`; until then libc does.
"""

from __future__ import annotations

import ctypes
import os
import time
from multiprocessing import reduction
from typing import Any, Final

_libc: Final = ctypes.CDLL(None, use_errno=True)


class _Spec(ctypes.Structure):
    """struct itimerspec: the period and the first expiry, each in seconds and nanoseconds."""

    _fields_ = (
        ("period_s", ctypes.c_long),
        ("period_ns", ctypes.c_long),
        ("first_s", ctypes.c_long),
        ("first_ns", ctypes.c_long),
    )


class Alarm:
    """One child's timer. Made by the parent; passed to the spawned child as a descriptor."""

    def __init__(self, fd: int, seconds: float) -> None:
        self._fd = fd
        self.seconds = seconds
        self._spec = _spec(seconds)

    @classmethod
    def create(cls, seconds: float) -> Alarm:
        """An alarm that will go off `seconds` after it was last set."""
        fd = _libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_CLOEXEC | os.O_NONBLOCK)
        if fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        return cls(fd, seconds)

    def __reduce__(self) -> tuple[Any, ...]:
        return _attach, (reduction.DupFd(self._fd), self.seconds)

    def fileno(self) -> int:
        """Readable once it has gone off."""
        return self._fd

    def set(self, seconds: float | None = None) -> None:
        """Starts the time anew; once for `seconds`, if given."""
        spec = self._spec if seconds is None else _spec(seconds)
        _libc.timerfd_settime(self._fd, 0, ctypes.byref(spec), None)

    def heard(self) -> bool:
        """Whether it has gone off since the last look."""
        try:
            return bool(os.read(self._fd, 8))
        except BlockingIOError:  # set again in between
            return False

    def close(self) -> None:
        """Lets our descriptor go."""
        os.close(self._fd)


def _spec(seconds: float) -> _Spec:
    return _Spec(0, 0, int(seconds), max(1, int(seconds % 1 * 1e9)))  # all zeros would stop it


def _attach(duplicate: Any, seconds: float) -> Alarm:
    return Alarm(duplicate.detach(), seconds)
