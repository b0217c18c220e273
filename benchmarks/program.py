"""Programs under measurement: started, waited for, stopped."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from signal import SIGKILL
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]

_STOP_SECONDS: Final = 15.0


@contextmanager
def program(
    command: Sequence[str], environment: Mapping[str, str], log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs `command` from the project's folder, what it says going to `log`; stops it and its group after."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
        with suppress(ProcessLookupError):  # what it left behind, and itself if it would not go
            os.killpg(process.pid, SIGKILL)
        process.wait()


def wait_until(
    done: Callable[[], bool], process: subprocess.Popen[bytes], what: str, log: Path, timeout: float = 30.0
) -> None:
    """Returns once `done`. Raises `RuntimeError`, with the last lines of `log`, when `process` ends or
    `timeout` seconds are over."""
    deadline = time.monotonic() + timeout
    while not done():
        if process.poll() is not None or time.monotonic() > deadline:
            last = "\n  ".join(log.read_text(errors="replace").splitlines()[-12:])
            why = (
                f"ended with {process.returncode}" if process.poll() is not None else f"waited {timeout:g} s"
            )
            raise RuntimeError(f"{what} did not start ({why}); it said:\n  {last}")
        time.sleep(0.01)
