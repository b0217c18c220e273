"""What the machine does without any queue, measured just before what is compared with it."""

from __future__ import annotations

import multiprocessing
import time
from typing import Any, Final, NamedTuple

import bcrypt as library

_FORK: Final = multiprocessing.get_context("fork")
_SECONDS: Final = 1.0


class Machine(NamedTuple):
    """Hashes per second of two processes, and the CPU seconds of one hash."""

    rate: float
    cpu: float


def bcrypt() -> Machine:
    """Two plain processes that hash at cost 4."""
    answers: Any = _FORK.SimpleQueue()

    def work() -> None:
        count, start, used = 0, time.monotonic(), time.process_time()
        while (now := time.monotonic()) < start + _SECONDS:
            library.hashpw(b"task %d" % count, library.gensalt(4))
            count += 1
        answers.put((count / (now - start), (time.process_time() - used) / count))

    members = [_FORK.Process(target=work, daemon=True) for _ in range(2)]
    for member in members:
        member.start()
    found = [answers.get() for _ in members]
    for member in members:
        member.join()
    return Machine(sum(rate for rate, _ in found), sum(cpu for _, cpu in found) / 2)
