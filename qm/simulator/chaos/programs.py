"""The managers and the pools of a run, as processes that can be killed, stopped and started again."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from qm.simulator.chaos.work import FOLDER, TYPE
from qm.wire.address import Address, parse_address

#: How a manager is started; tests start others.
MANAGER: Final = (sys.executable, "-m", "qm.cli.qmanager")

#: Without TLS, whatever the environment says: the proxy must cut where it likes.
_PLAIN: Final = {"QM_TLS": "off", "QM_TLS_FINGERPRINT": "", "QM_TLS_CA": ""}

#: The title that a pool gives its children.
_CHILD: Final = b"qmworker: child"

_PR_SET_PDEATHSIG: Final = 1
_prctl: Final = ctypes.CDLL(None).prctl


class Program:
    """A process that is there most of the time. It ends with ours. Main thread only."""

    def __init__(self, name: str, command: Sequence[str], log: Path, environ: Mapping[str, str]) -> None:
        """`name` for people; what it prints goes to `log`."""
        self.name = name
        self._command = list(command)
        self._log = log
        self._environ = {**os.environ, **_PLAIN, **environ}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it; it must not run."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,  # Ctrl-C is for us
                preexec_fn=lambda: _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0),
            )

    @property
    def pid(self) -> int:
        """Its process, the last one if it has ended."""
        assert self._process is not None  # it was started
        return self._process.pid

    @property
    def code(self) -> int | None:
        """Its exit code; None while it runs."""
        return self._process.poll() if self._process else None

    def signal(self, number: signal.Signals) -> None:
        """Sends it a signal, if it runs."""
        if self._process is not None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """Kills it and waits for that."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def end(self, seconds: float) -> None:
        """Asks it to leave, and kills it after `seconds`."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGCONT)
        self._process.terminate()
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def children(self) -> list[int]:
        """The pids of a pool's children that work or will."""
        try:
            found = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        except OSError:
            return []
        return [int(pid) for pid in found if _title(int(pid)).startswith(_CHILD)]


class Manager(Program):
    """A manager: it takes a free port at every start and says which."""

    def __init__(
        self,
        folder: Path,
        command: Sequence[str],
        store: str,
        durability: str,
        name: str = "manager",
        authkey: Path | None = None,
    ) -> None:
        """`folder` is its own; `authkey` None: the key is there too."""
        self._ready = folder / "ready"
        words = ["--rpc", "127.0.0.1:0", "--http", "off", "--store", store, "--durability", durability]
        words += ["--authkey-file", str(authkey or folder / "authkey"), "--ready-file", str(self._ready)]
        super().__init__(name, [*command, *words], folder / "manager.log", {"QM_HOME": str(folder)})

    def start(self) -> None:
        self._ready.unlink(missing_ok=True)
        super().start()

    def address(self) -> Address | None:
        """Where it serves; None as long as it does not."""
        try:
            text = self._ready.read_text()
        except FileNotFoundError:
            return None
        return parse_address(text.split()[1], 0)


def pool(folder: Path, number: int, processes: int, rpc: Sequence[Address], journals: Path) -> Program:
    """A pool of workers that run the chaos tasks. `rpc`: where the managers are."""
    command = [
        sys.executable,
        "-m",
        "qm.cli.qmworker",
        "--load",
        "qm.simulator.chaos.work",
        "--type",
        TYPE,
    ]
    command += ["--rpc", ",".join(map(str, rpc)), "--processes", str(processes)]
    command += ["--authkey-file", str(folder / "authkey")]
    environ = {"QM_HOME": str(folder), FOLDER: str(journals)}
    return Program(f"pool {number}", command, folder / f"pool-{number}.log", environ)


def _title(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # it has ended
        return b""
