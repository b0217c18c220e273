"""How the web process ends with its parent, whatever ends the parent.

Three things end it, and each as one SIGTERM: a SIGTERM, the parent's death (the kernel sends it), and the end
of its stdin, which only the parent can write to (for a death before the kernel was asked).
"""

from __future__ import annotations

import ctypes
import os
import signal
import threading
from collections.abc import Callable
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


def follow_parent() -> None:
    """From now on the death of the parent's thread that started us is a SIGTERM for us."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def hold_signals() -> None:
    """From now on SIGTERM waits for `on_end`, in this thread and in those it starts."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def on_end(stop: Callable[[], None], stdin: int) -> None:
    """Calls `stop` in a thread of its own when this process should end."""
    threading.Thread(target=_wait, args=(stop,), name="stop", daemon=True).start()
    threading.Thread(target=_watch, args=(stdin,), name="lifeline", daemon=True).start()


def _wait(stop: Callable[[], None]) -> None:
    signal.sigwait({signal.SIGTERM})
    stop()


def _watch(stdin: int) -> None:
    while os.read(stdin, 4096):
        continue
    os.kill(os.getpid(), signal.SIGTERM)
