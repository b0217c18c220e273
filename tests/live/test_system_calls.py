"""What a child of a real pool asks of the system beside its socket: the kernel counts its reads and writes.

A line of log, a look into a file, a byte through a pipe for each task would be seen here. What goes over the
socket is counted in tests/guard/test_wire.py: the kernel does not count it as reading and writing.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from qm.client import Client, new_task
from qm.testing import RunningManager, running_manager

pytestmark = pytest.mark.xdist_group("live-pool")

MANY = 1000

SCRIPT = """
    import os, sys
    import qm

    ops = qm.Operations()

    @ops.operation("pid")
    def pid(value):
        return os.getpid()

    @ops.operation("noop")
    def noop(value):
        return value

    @ops.operation("chatty")
    def chatty(value):
        os.write(1, b".")
        return value

    if __name__ == "__main__":
        address = ("127.0.0.1", int(sys.argv[1]))
        sys.exit(qm.Worker(["pool"], processes=1, address=address, authkey=bytes.fromhex(sys.argv[2])).run())
"""


@pytest.fixture
def manager() -> Iterator[RunningManager]:
    with running_manager() as manager:
        yield manager


@pytest.fixture
def child(manager: RunningManager, tmp_path: Path) -> Iterator[int]:
    """The process of the one child of a pool that works."""
    (tmp_path / "pool.py").write_text(dedent(SCRIPT))
    argv = [sys.executable, "pool.py", str(manager.address.port), manager.authkey.hex()]
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    environment = {**os.environ, "PYTHONPATH": path}
    with subprocess.Popen(argv, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL) as pool:
        try:
            client = manager.client()
            yield client.result(client.add("pid"), wait=30)
        finally:
            pool.terminate()


def reads_and_writes(pid: int) -> int:
    """How many system calls of a process read or wrote files, pipes or devices, so far."""
    counts = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    return int(counts["syscr"]) + int(counts["syscw"])


def check_drain(client: Client, child: int, type_: str) -> None:
    """A thousand tasks, of which a child's first ones have been run before."""
    client.result(client.add(type_, 1), wait=30)
    before = reads_and_writes(child)
    ids = client.add_many(new_task(type_, 1) for _ in range(MANY))
    assert len(client.get_many(ids, wait=60)) == MANY
    assert client.status().done >= MANY
    counted = reads_and_writes(child) - before
    assert counted <= MANY // 20, (
        f"{counted:,} reads and writes of a child for {MANY:,} tasks, and not at most {MANY // 20}: "
        "a task costs none beside its socket"
    )


def test_a_task_costs_a_child_no_reads_or_writes(manager: RunningManager, child: int) -> None:
    check_drain(manager.client(), child, "noop")


def test_a_write_for_each_task_is_caught(manager: RunningManager, child: int) -> None:
    with pytest.raises(AssertionError, match="reads and writes of a child"):
        check_drain(manager.client(), child, "chatty")
