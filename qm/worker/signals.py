"""What wakes the parent of a pool: the signals that tell it to leave, and its own threads."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any, Final

_NUMBERS: Final = (signal.SIGTERM, signal.SIGINT)


class Signals:
    """Inside, SIGTERM and SIGINT are counted, and the system keeps for us how children died. Readable
    whenever there is something to see. Main thread only, but for `wake`."""

    def __init__(self) -> None:
        #: How many signals told us to leave.
        self.heard = 0
        self._before: dict[int, Any] = {}
        self._reader = self._writer = self._wakeup = -1

    def __enter__(self) -> None:
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._before = {number: signal.signal(number, self._hear) for number in _NUMBERS}
        if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:  # inherited: then nobody learns how one died
            self._before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._wakeup = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        reader, writer = self._reader, self._writer
        self._reader = self._writer = -1
        os.close(reader)
        os.close(writer)

    def fileno(self) -> int:
        """Readable after a signal, and after `wake`."""
        return self._reader

    def clear(self) -> None:
        """What has woken us so far has been seen."""
        os.read(self._reader, 512)

    def wake(self) -> None:
        """From any thread: there is something to see."""
        with suppress(OSError):  # full: it will wake anyhow; closed: we are leaving
            os.write(self._writer, b"\0")

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self.heard += 1
