"""SIGTERM and Ctrl-C: the first asks, the second does not wait. SIGHUP: read the files again."""

from __future__ import annotations

import contextlib
import os
import signal
from types import FrameType, TracebackType
from typing import Any, Final

_NUMBERS: Final = (signal.SIGTERM, signal.SIGINT)


class Signals:
    """Inside `with`, a first signal is noted and wakes who waits for `fileno`; a second one ends the process
    with 128 and its number. SIGHUP only wakes, and may come often. Main thread only."""

    def __init__(self) -> None:
        #: The first signal; None until there is one.
        self.received: signal.Signals | None = None
        self._hung_up = False
        self._before: dict[signal.Signals, Any] = {}
        self._wakeup = -1
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def fileno(self) -> int:
        """Readable once there was a signal; not any more when a SIGHUP was taken."""
        return self._reader

    def take_hangup(self) -> bool:
        """Whether SIGHUP came since the last time. One that comes meanwhile is for the next time."""
        if self.received is None:  # else it stays readable
            with contextlib.suppress(BlockingIOError):
                os.read(self._reader, 4096)
        came, self._hung_up = self._hung_up, False
        return came

    def __enter__(self) -> Signals:
        self._before = {number: signal.signal(number, self._handle) for number in _NUMBERS}
        self._before[signal.SIGHUP] = signal.signal(signal.SIGHUP, self._note)
        # the kernel may give a signal to any thread, and ours sleeps on: this wakes it to run the handler
        self._wakeup = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self._reader)
        os.close(self._writer)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._hung_up = True
        with contextlib.suppress(BlockingIOError):  # it is readable already
            os.write(self._writer, b"x")

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            os._exit(128 + number)  # what was acknowledged is in the store
        self.received = signal.Signals(number)
        os.write(self._writer, b"x")
