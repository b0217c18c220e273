"""A manager as a process, on a disk that is made to fail."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from qm.client import Client
from qm.errors import QueueError
from qm.wire.address import Address, parse_address
from qm.wire.keys import read_key
from tests.wants import want_root

#: Seconds that a start or an end may take, also traced and on a busy machine.
PATIENCE = 60


class Program:
    """qmanager over one QM_HOME. What it says goes to a file outside of it."""

    def __init__(self, home: Path, outside: Path) -> None:
        self.home = home
        self._ready, self._log = outside / "ready", outside / "log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, wrapper: Sequence[str] = ()) -> None:
        """Starts it, by `wrapper` if there is one. `serves` says whether it came so far."""
        self._ready.unlink(missing_ok=True)
        words = ["--rpc", "127.0.0.1:0", "--http", "off", "--ready-file", str(self._ready)]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*wrapper, *self.words(), *words],
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def serves(self) -> bool:
        """Waits until it serves, or has ended."""
        assert self._process is not None
        deadline = time.monotonic() + PATIENCE
        while not self._ready.exists():
            if self._process.poll() is not None:
                return False
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.02)
        return True

    def client(self, patience: float = 0) -> Client:
        """A client of it."""
        return Client(self.address(), read_key(self.home / "authkey"), patience=patience)

    def address(self) -> Address:
        """Where it serves."""
        line = self._ready.read_text().splitlines()[0].removeprefix("rpc ")
        return parse_address(line, 0)

    def end(self) -> int:
        """Waits for its end; gives the exit code."""
        assert self._process is not None
        return self._process.wait(PATIENCE)

    def stop(self) -> int:
        """Asks it to end, if it has not; gives the exit code."""
        assert self._process is not None
        self._process.terminate()
        return self.end()

    def stop_traced(self) -> None:
        """Asks it to end behind its wrapper, which does not pass signals on."""
        assert self._process is not None
        pid = self._process.pid
        (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        os.kill(int(child), signal.SIGTERM)

    def kill(self) -> None:
        """Nothing is left of it."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def said(self) -> str:
        """What it said since its start."""
        return self._log.read_text()

    def words(self) -> list[str]:
        """Its command line, without options."""
        return [sys.executable, "-m", "qm.cli.qmanager"]

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """qmanager check or backup, beside it."""
        return subprocess.run(
            [*self.words(), *words],
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def environment(self) -> dict[str, str]:
        """What it finds its home by."""
        return os.environ | {"QM_HOME": str(self.home)}


def add_until_refused(client: Client, prefix: str, size: int = 10) -> tuple[list[str], QueueError]:
    """Adds tasks until one is refused. Gives the ids that were acknowledged, and the refusal."""
    acked: list[str] = []
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            acked.append(client.add("mail", "x" * size, id=f"{prefix}{len(acked)}"))
        except QueueError as error:
            return acked, error
    raise AssertionError("nothing was refused")


@contextlib.contextmanager
def small_disk(path: Path, size: str) -> Iterator[Path]:
    """A file system of so many bytes. Only root can have one."""
    want_root()
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)
