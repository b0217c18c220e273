"""A manager and a pool as real processes in a folder of their own, for one measurement."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.peers.servers import server
from benchmarks.program import program, wait_until
from benchmarks.stamps import Stamps
from benchmarks.usage import cpu_seconds, tree
from qm import Client, new_task
from qm.wire.keys import read_key


class Stage:
    """Where a measurement runs: the manager, how to reach it, and when its tasks ran."""

    def __init__(
        self,
        home: Path,
        address: str,
        manager: int,
        started: float,
        stamps: Stamps,
        others: Sequence[int],
        tls: str = "",
    ) -> None:
        self.home = home
        self.address = address
        #: The manager's pid.
        self.manager = manager
        #: Seconds from the manager's start until it served.
        self.started = started
        #: How clients know the manager, see `qm.wire.trust`; "" without TLS.
        self.tls = tls
        self.stamps = stamps
        self._pools: list[int] = []
        #: Roots of further processes: the database.
        self._others = others

    @contextmanager
    def pool(self, workers: int = 2, module: str = "benchmarks.noop") -> Iterator[int]:
        """A pool of `workers` processes that serve the operations of `module`. Gives its pid."""
        command = [sys.executable, "-m", "qm.cli.qmworker", "--rpc", self.address]
        command += ["--processes", str(workers), "--load", module, "--log-level", "warning"]
        environment = {"QM_HOME": str(self.home), **self.stamps.environment()}
        with program(command, environment, self.home / "pool.log") as pool:
            self._pools.append(pool.pid)
            try:
                yield pool.pid
            finally:
                self._pools.remove(pool.pid)

    def client(self) -> Client:
        """A client of its own."""
        return Client(self.address, self.key(), tls=self.tls)

    def key(self) -> bytes:
        """The manager's authkey."""
        return read_key(self.home / "authkey")

    def pids(self) -> list[int]:
        """All our processes: manager, web, pools and their children, and the database with its own."""
        return tree(self.manager, *self._pools, *self._others)

    def cpu_seconds(self) -> float:
        """What they have used so far."""
        return cpu_seconds(self.pids())


@contextmanager
def stage(
    durability: str, *, web: bool = False, workers: int = 0, encrypted: bool = False
) -> Iterator[Stage]:
    """A manager with `durability` (full, relaxed, or memory: the store in memory; postgres: full, over a
    fresh PostgreSQL), with its page if `web`, and a ready pool of `workers` processes if any. `encrypted`:
    over TLS, for clients only."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="qmanager-bench.")))
        stamps = Stamps(stack.enter_context(stamp_file()))
        ready, log = home / "ready", home / "manager.log"
        command = [sys.executable, "-m", "qm.cli.qmanager", "--rpc", "127.0.0.1:0", "--log-level", "warning"]
        command += ["--http", "127.0.0.1:0" if web else "off", "--ready-file", str(ready)]
        roots = []
        if durability == "postgres":
            database = stack.enter_context(server("postgres"))
            command += ["--store", f"postgresql://postgres@{database.place}/postgres"]
            roots = [database.pid] if database.pid else []
        else:
            command += ["--store", "memory:"] if durability == "memory" else ["--durability", durability]
        tls = _certificate(home) if encrypted else ""
        command += ["--tls"] if encrypted else []
        start = time.monotonic()
        manager = stack.enter_context(program(command, {"QM_HOME": str(home)}, log))
        wait_until(ready.exists, manager, "qmanager", log)
        started = time.monotonic() - start
        address = dict(line.split() for line in ready.read_text().splitlines())["rpc"]
        here = Stage(home, address, manager.pid, started, stamps, roots, tls)
        if workers:
            stack.enter_context(here.pool(workers))
            with here.client() as client:
                client.get_many(client.add_many(new_task("noop", n) for n in range(100)), wait=30)
        yield here


def _certificate(home: Path) -> str:
    """Makes one. Gives how to know it."""
    command = [sys.executable, "-m", "qm.cli.qmanager", "tls", "init"]
    environment = os.environ | {"QM_HOME": str(home)}
    made = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return made.stdout.strip()


@contextmanager
def stamp_file() -> Iterator[Path]:
    """A path in memory where there is one: on disk the stamps would ride in the store's own syncs."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(
        prefix="qmanager-bench.", dir=memory if memory.is_dir() else None
    ) as folder:
        yield Path(folder) / "stamps"
