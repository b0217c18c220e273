"""A manager in this process and pools of real processes, for the tests that kill them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

from qm.manager import QueueManager
from qm.queue import Queue
from qm.store.sqlite import SQLiteStore

KEY = b"0123456789abcdef0123456789abcdef"

OPERATIONS = """
    import os, signal, subprocess, sys, time
    from pathlib import Path
    from qm import Operations

    ops = Operations()

    @ops.operation("echo")
    def echo(value):
        return value

    @ops.operation("pid")
    def pid(value):
        return os.getpid()

    @ops.operation("signal")
    def die(number):
        os.kill(os.getpid(), number)

    @ops.operation("exit")
    def leave(code):
        os._exit(code)

    @ops.operation("until")
    def until(path, started):
        # runs until the file is there; says in another that it runs, and in which process
        with open(started, "a") as file:
            file.write(f"{os.getpid()}\\n")
        while not Path(path).exists():
            time.sleep(0.01)
        return "done"

    @ops.operation("spawn-and-die")
    def spawn_and_die(path):
        grandchild = subprocess.Popen(["sleep", "1000"])
        Path(path).write_text(str(grandchild.pid))
        os.kill(os.getpid(), signal.SIGKILL)

    @ops.operation("fork-and-die")
    def fork_and_die(value):
        if os.fork() == 0:
            time.sleep(1000)
        os.kill(os.getpid(), signal.SIGKILL)

    @ops.operation("environment")
    def environment(value):
        return [Path(f"/proc/{os.getpid()}/{name}").read_bytes() for name in ("cmdline", "environ")]
"""

SCRIPT = """
    import logging, sys
    import qm

    logging.basicConfig(level="INFO", format="%(message)s")
    if __name__ == "__main__":
        sys.exit(qm.Worker(load=["my_ops"], processes=int(sys.argv[1]), drain=float(sys.argv[2]),
                           grace=float(sys.argv[3])).run())
"""


class Manager:
    """A manager in this process, that can be stopped and started on the same store and port."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.port = 0
        self.start()

    def start(self) -> None:
        self.queue = Queue(SQLiteStore.open(self._path))
        self.queue.start()
        self.server = QueueManager(("127.0.0.1", self.port), KEY, self.queue).get_server()
        self.port = self.server.address.port
        self._thread = threading.Thread(target=self.server.serve_forever)
        self._thread.start()

    def stop(self) -> None:
        self.queue.drain()
        self.server.stop()
        self._thread.join()
        self.queue.core.store.close()


class Pools:
    """Starts worker scripts, and sees that none is left."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        #: Where the pools look for their manager, or managers.
        self.rpc = f"127.0.0.1:{port}"
        self._started: list[subprocess.Popen[str]] = []
        self.write("my_ops", OPERATIONS)
        self.write("script", SCRIPT)
        key = folder / "authkey"
        key.write_bytes(KEY)
        key.chmod(0o600)

    def write(self, module: str, text: str) -> None:
        (self.folder / f"{module}.py").write_text(dedent(text))

    def start(
        self, processes: int = 1, drain: float = 25, grace: float = 5, script: str = "script"
    ) -> subprocess.Popen[str]:
        environment = {
            **os.environ,
            "QM_HOME": str(self.folder),
            "QM_RPC": self.rpc,
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        }
        pool = subprocess.Popen(
            [sys.executable, f"{script}.py", str(processes), str(drain), str(grace)],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._started.append(pool)
        return pool

    def stop_all(self) -> None:
        for pool in self._started:
            if pool.poll() is None:
                pool.kill()
            pool.communicate()


def output_of(pool: subprocess.Popen[str], seconds: float = 20) -> str:
    output, _ = pool.communicate(timeout=seconds)
    return output


def eventually(check: Callable[[], Any], seconds: float = 15) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
    return found


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
