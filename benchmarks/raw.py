"""What the machine does without any queue, measured just before what is compared with it."""

from __future__ import annotations

import multiprocessing
import os
import time
from typing import Any, Final, NamedTuple

import bcrypt as library

from benchmarks.completing import Drained

_FORK: Final = multiprocessing.get_context("fork")
_PROCESSES: Final = 2
_SECONDS: Final = 1.0

#: How many of them a drain has.
HASHES: Final = 3_000


class Machine(NamedTuple):
    """Hashes per second that two processes can reach, and the CPU seconds of one hash."""

    rate: float
    cpu: float


def bcrypt() -> Machine:
    """Two plain processes that hash at cost 4, judged by the CPU that they took and not by the clock: a
    neighbour's busy second would make the machine look slower than it is, and us better."""
    answers: Any = _FORK.SimpleQueue()

    def work() -> None:
        count, end, used = 0, time.monotonic() + _SECONDS, time.process_time()
        while time.monotonic() < end:
            library.hashpw(b"task %d" % count, library.gensalt(4))
            count += 1
        answers.put((time.process_time() - used) / count)

    members = [_FORK.Process(target=work, daemon=True) for _ in range(_PROCESSES)]
    for member in members:
        member.start()
    hashes = [float(answers.get()) for _ in members]
    for member in members:
        member.join()
    cpu = sum(hashes) / len(hashes)
    return Machine(min(_PROCESSES, len(os.sched_getaffinity(0))) / cpu, cpu)


def share(found: Drained, machine: Machine) -> dict[str, float]:
    """What a drain of hashes reached of that, as figures."""
    return {"bcrypt": 100 * found.rate / machine.rate, "bcrypt_cpu": (found.cpu - machine.cpu) * 1e6}
