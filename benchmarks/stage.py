"""A manager and a pool as real processes in a folder of their own, for one measurement."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from qm import Client
from qm.wire.keys import read_key

_START_SECONDS: Final = 20.0


class Stage:
    """Where a measurement runs: the manager's address, its pid, and how to reach it."""

    def __init__(self, home: Path, address: str, pid: int) -> None:
        self.home = home
        self.address = address
        self.pid = pid

    @contextmanager
    def pool(self, workers: int) -> Iterator[int]:
        """A pool of `workers` processes that serve `benchmarks.noop`; gives its parent's pid."""
        options = ["--rpc", self.address, "--processes", str(workers), "--load", "benchmarks.noop"]
        with _program(self.home, "qmworker", *options) as pool:
            yield pool.pid

    def client(self) -> Client:
        """A client of its own."""
        return Client(self.address, read_key(self.home / "authkey"))

    def cpu_seconds(self) -> float:
        """What the manager's process has used so far, user and system."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def stage(durability: str = "full", store: str | None = None, workers: int = 0) -> Iterator[Stage]:
    """A manager with `durability`, or with `store`; and a pool of `workers` processes if any."""
    with tempfile.TemporaryDirectory(prefix="qmanager-bench.") as folder, ExitStack() as programs:
        home = Path(folder)
        ready = home / "ready"
        options = ["--rpc", "127.0.0.1:0", "--http", "off", "--ready-file", str(ready)]
        options += ["--store", store] if store else ["--durability", durability]
        manager = programs.enter_context(_program(home, "qmanager", *options))
        deadline = time.monotonic() + _START_SECONDS
        while not ready.exists():
            if manager.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"qmanager did not start (exit code {manager.poll()})")
            time.sleep(0.02)
        address = dict(line.split() for line in ready.read_text().splitlines())["rpc"]
        here = Stage(home, address, manager.pid)
        if workers:
            programs.enter_context(here.pool(workers))
            with here.client() as client:
                while not client.status().workers:
                    time.sleep(0.02)
        yield here


@contextmanager
def _program(home: Path, name: str, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, "QM_HOME": str(home)}
    command = [sys.executable, "-m", f"qm.cli.{name}", *options, "--log-level", "warning"]
    program = subprocess.Popen(command, env=environment, cwd=Path(__file__).parents[1])
    try:
        yield program
    finally:
        program.terminate()
        program.wait()
