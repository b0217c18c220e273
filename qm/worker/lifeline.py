"""How a child ends with its parent, whatever ends the parent."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


class Lifeline:
    """The reading end of a pipe that only the parent can write: a message is a call, EOF its death."""

    def __init__(self, pipe: Connection) -> None:
        """Has the kernel kill this process when its parent dies; a thread sees to what the kernel misses."""
        self._pipe = pipe
        self._callback: Callable[[], None] | None = None
        parent = os.getppid()
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died before the kernel was asked
            os._exit(1)
        threading.Thread(target=self._listen, name="lifeline", daemon=True).start()

    def on_call(self, callback: Callable[[], None]) -> None:
        """What to do, in the lifeline's thread, when the parent calls."""
        self._callback = callback

    def _listen(self) -> None:
        try:
            while True:
                self._pipe.recv_bytes()
                if self._callback is not None:
                    self._callback()
        except (EOFError, OSError):
            os.killpg(0, signal.SIGKILL)
