"""Lets the worker of a running task die, and looks when the task runs again."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

from benchmarks.stage import Stage
from benchmarks.usage import tree

#: Seconds after which it counts as not coming back: the term of a session three times.
_PATIENCE: Final = 100.0


class Begun(NamedTuple):
    """A run of the task: in which process, and when by the monotonic clock, which all processes share."""

    pid: int
    at: float


def child(pool: int, run: Begun) -> None:
    """kill -9 of the one process that runs it."""
    os.kill(run.pid, signal.SIGKILL)


def pool(pool: int, run: Begun) -> None:
    """kill -9 of the pool with all its children."""
    _signal(pool, signal.SIGKILL)


def host(pool: int, run: Begun) -> None:
    """The pool and its children stop, and their connections stay: what a host that lost its network does."""
    _signal(pool, signal.SIGSTOP)


DEATHS: Final[dict[str, Callable[[int, Begun], None]]] = {"child": child, "pool": pool, "host": host}


def seconds(here: Stage, death: str) -> float:
    """From the death of a running task's worker until the task begins in another process. A second pool of
    one process stands by."""
    with TemporaryDirectory(dir=here.home) as name, here.pool(1, "benchmarks.recovery.tasks") as first:
        folder = Path(name)
        with here.client() as client:
            client.add("hold", name)
            run = _wait(folder, 1)
            with here.pool(1, "benchmarks.recovery.tasks") as second, _gone(first):
                while len(client.status().workers) < 2:
                    time.sleep(0.01)
                start = time.monotonic()
                DEATHS[death](first, run)
                again = _wait(folder, 2)
                (folder / "end").touch()
                if death != "child" and again.pid not in tree(second):
                    raise RuntimeError("the task began again in the pool that was killed")
                while client.status().progress:
                    time.sleep(0.01)
    return again.at - start


def _wait(folder: Path, number: int) -> Begun:
    """The run of that number."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        with suppress(FileNotFoundError):
            lines = (folder / "begun").read_text().splitlines(keepends=True)
            if len(lines) >= number and lines[number - 1].endswith("\n"):
                pid, at = lines[number - 1].split()
                return Begun(int(pid), float(at))
        time.sleep(0.01)
    raise RuntimeError(f"run {number} of the task did not begin within {_PATIENCE:g} s")


@contextmanager
def _gone(pool: int) -> Iterator[None]:
    """What was stopped cannot be asked to leave."""
    try:
        yield
    finally:
        _signal(pool, signal.SIGKILL)


def _signal(pool: int, number: signal.Signals) -> None:
    """To the pool first, so that it sees nobody die before it."""
    for pid in tree(pool):
        with suppress(ProcessLookupError):
            os.kill(pid, number)
