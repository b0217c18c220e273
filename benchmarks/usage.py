"""What processes use, and what the machine has left for us, as /proc tells it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

_PARENT: Final = 1
_IDLE, _WAITING, _STOLEN = 3, 4, 7
#: The kernel's number of the clock that counts a process's own time: its pid, inverted, and this below it.
_PROCESS_CLOCK: Final = 2


def tree(*roots: int) -> list[int]:
    """The pids of these processes and of all below them."""
    children: dict[int, list[int]] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[_PARENT]), []).append(int(entry.name))
    found: list[int] = []
    ahead = list(roots)
    while ahead:
        pid = ahead.pop()
        found.append(pid)
        ahead.extend(children.get(pid, ()))
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """What these processes have used so far, user and system, to the nanosecond: in the ticks of /proc, ten
    milliseconds each, an idle system would seem to use nothing."""
    total = 0.0
    for pid in pids:
        with suppress(OSError):  # ended in the meantime
            total += time.clock_gettime(~pid << 3 | _PROCESS_CLOCK)
    return total


def pss_megabytes(pids: Iterable[int]) -> float:
    """Their proportional share of memory: pages that several processes share are counted once."""
    total = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:  # ended in the meantime
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


class Steal:
    """How much of the machine's processor time the host took for others, from here on."""

    def __init__(self) -> None:
        self._stolen, self._all = _machine()

    def share(self) -> float:
        """A fraction of 1."""
        stolen, everything = _machine()
        return (stolen - self._stolen) / max(1, everything - self._all)


def busy_share(seconds: float) -> float:
    """The fraction of the machine's processor time that programs use during the next `seconds`: asked while
    nothing of ours runs, what others use."""
    before = _times()
    time.sleep(seconds)
    passed = [after - start for after, start in zip(_times(), before, strict=True)]
    idle = passed[_IDLE] + passed[_WAITING] + passed[_STOLEN]
    return 1 - idle / max(1, sum(passed))


def _machine() -> tuple[int, int]:
    times = _times()
    return times[_STOLEN], sum(times)


def _times() -> list[int]:
    with open("/proc/stat") as file:
        return [int(ticks) for ticks in file.readline().split()[1:9]]


def _stat(pid: int) -> list[str]:
    """The fields after the name; empty where the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
