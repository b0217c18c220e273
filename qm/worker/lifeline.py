"""How a child ends with its parent, whatever ends the parent."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
from multiprocessing.connection import Connection
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


def die_with_parent(lifeline: Connection) -> None:
    """Has the kernel kill this process when its parent dies, and a thread too, for what the kernel misses.

    `lifeline` is the reading end of a pipe that only the parent can write, and never does: EOF is its death.
    """
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before the kernel was asked
        os._exit(1)
    threading.Thread(target=_wait_for_end, args=(lifeline,), name="lifeline", daemon=True).start()


def _wait_for_end(lifeline: Connection) -> None:
    try:
        lifeline.recv_bytes()
    except (EOFError, OSError):
        os.killpg(0, signal.SIGKILL)
