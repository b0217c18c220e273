"""What processes use, and what the machine has left for us, as /proc tells it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_TICK: Final = os.sysconf("SC_CLK_TCK")
_USER, _SYSTEM, _PARENT = 11, 12, 1


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
    """What these processes have used so far, user and system."""
    ticks = 0
    for pid in pids:
        if fields := _stat(pid):
            ticks += int(fields[_USER]) + int(fields[_SYSTEM])
    return ticks / _TICK


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


def _machine() -> tuple[int, int]:
    with open("/proc/stat") as file:
        times = [int(ticks) for ticks in file.readline().split()[1:9]]
    return times[7], sum(times)


def _stat(pid: int) -> list[str]:
    """The fields after the name; empty where the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
