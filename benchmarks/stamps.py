"""When each task ran: every task body, ours and the peers', notes one time in one file.

Completions are counted here and not in anybody's own books, so that all systems are measured by one clock and
counting costs all of them the same: one small append to a file in memory. Needs nothing but Python: it is
imported by workers of other systems too.
"""

from __future__ import annotations

import os
import struct
import time
from pathlib import Path
from typing import Final

#: Names the file to the workers.
VARIABLE: Final = "QM_BENCH_STAMPS"

_SIZE: Final = 8
_NONE: Final = -1


class Stamper:
    """The workers' end. Does nothing where `VARIABLE` is not set."""

    def __init__(self) -> None:
        path = os.environ.get(VARIABLE)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND) if path else _NONE

    def __call__(self) -> None:
        """Notes that a task ran now."""
        if self._file != _NONE:
            os.write(self._file, struct.pack("<d", time.monotonic()))


class Stamps:
    """The harness's end: makes the file at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    def environment(self) -> dict[str, str]:
        """What workers must have in their environment."""
        return {VARIABLE: str(self.path)}

    def count(self) -> int:
        """How many tasks have run."""
        return os.stat(self.path).st_size // _SIZE

    def times(self) -> list[float]:
        """When they ran, in order, by `time.monotonic`."""
        data = self.path.read_bytes()
        return sorted(moment for (moment,) in struct.iter_unpack("<d", data))

    def wait(self, count: int, timeout: float) -> None:
        """Returns once `count` tasks have run. Raises `TimeoutError`."""
        deadline = time.monotonic() + timeout
        while (ran := self.count()) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"only {ran:,} of {count:,} tasks ran within {timeout:g} s")
            time.sleep(0.005)
