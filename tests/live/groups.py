"""Control groups: how many processes and threads a program may have. A limit that binds root too."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.live.stage import eventually
from tests.wants import want


@contextmanager
def group_of(processes: int) -> Iterator[Path]:
    """A group for so many at most; who is in it is killed at the end. Skips the test where there is none."""
    group = _make_group(processes)
    want(group is not None, "a control group with a limit of processes, which takes root")
    assert group is not None
    try:
        yield group
    finally:
        for pid in members(group):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        eventually(lambda: not members(group))
        group.rmdir()


def join(group: Path, pid: int) -> None:
    """Puts a process with all its threads into the group."""
    (group / "cgroup.procs").write_text(str(pid))


def allow(group: Path, processes: int) -> None:
    """So many from now on; those that are there stay."""
    (group / "pids.max").write_text(str(processes))


def count(group: Path) -> int:
    """Its processes and threads."""
    return int((group / "pids.current").read_text())


def members(group: Path) -> list[int]:
    """Its processes."""
    return [int(pid) for pid in (group / "cgroup.procs").read_text().split()]


def _make_group(processes: int) -> Path | None:
    for parent in (Path("/sys/fs/cgroup/pids"), Path("/sys/fs/cgroup")):
        group = parent / f"qm-test-{os.getpid()}"
        try:
            group.mkdir()
            (group / "pids.max").write_text(str(processes))
        except OSError:
            if group.is_dir():
                group.rmdir()
        else:
            return group
    return None
