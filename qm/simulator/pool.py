"""A run's own pool of workers: a `qmworker` process that does not outlive the simulation's."""

from __future__ import annotations

import ctypes
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from qm.client import Client
from qm.clock import SystemClock
from qm.errors import BadRequest, QueueError, TimedOut
from qm.wire.address import Address

#: Seconds for the pool to load its operations and to attach.
_START: Final = 30.0

#: Seconds for running tasks to end: a little more than a pool gives them by itself.
_DRAIN: Final = 30.0

_TICK: Final = 0.05
_PR_SET_PDEATHSIG: Final = 1


class Pool:
    """`processes` workers with the built-in operations. Started and stopped from the main thread."""

    def __init__(
        self,
        processes: int,
        addresses: Sequence[Address],
        authkey_file: Path | None = None,
        log_level: str = "warning",
        log_format: str = "text",
        tls_flags: Sequence[str] = (),
    ) -> None:
        """`authkey_file` None leaves it to the environment, as `qmworker` does, and so do no `tls_flags`.

        Raises `BadRequest` for less than one process.
        """
        if processes < 1:
            raise BadRequest(f"a pool of {processes} processes cannot work")
        command = [sys.executable, "-m", "qm.cli.qmworker", "--rpc", ",".join(map(str, addresses))]
        command += ["--processes", str(processes)]
        command += ["--log-level", log_level, "--log-format", log_format]
        if authkey_file is not None:
            command += ["--authkey-file", str(authkey_file)]
        self._command = [*command, *tls_flags]
        self._clock = SystemClock()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, client: Client, impatient: Callable[[], bool]) -> None:
        """Starts it and waits until the manager knows it, or until `impatient`.

        Raises `QueueError` where it ends instead, `TimedOut` where it takes too long.
        """
        prctl = ctypes.CDLL(None).prctl
        process = self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            # a group of its own: Ctrl-C is for us, and we tell the pool when the tasks are through
            process_group=0,
            preexec_fn=lambda: prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0),
        )
        deadline = self._clock.monotonic() + _START
        while not (impatient() or _is_attached(client, process.pid)):
            _ends_within(process, _TICK)
            self.check()
            if self._clock.monotonic() > deadline:
                raise TimedOut(f"the pool of workers was not ready within {_START:g} s")

    def check(self) -> None:
        """Raises `QueueError` if the pool was started and has ended."""
        if self._process is not None and self._process.poll() is not None:
            code = self._process.returncode
            raise QueueError(f"the pool of workers ended with exit code {code}", hint="its log is above")

    def stop(self, impatient: Callable[[], bool]) -> None:
        """Lets running tasks end and waits for that; kills it when that takes too long, or if `impatient`."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        deadline = self._clock.monotonic() + _DRAIN
        while not _ends_within(process, _TICK):
            if impatient() or self._clock.monotonic() > deadline:
                process.kill()  # its children go with it


def _is_attached(client: Client, pid: int) -> bool:
    return any(worker.name.endswith(f":{pid}") for worker in client.status().workers)


def _ends_within(process: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True
