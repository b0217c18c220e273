"""One run of the web process: its pipes, its surroundings, its end."""

from __future__ import annotations

import contextlib
import os
import signal
import site
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from qm.wire.address import Address
from qm.wire.handover import WebConfig, WebReady

#: -P: what lies in the folder where qmanager was started must not be imported in place of our modules.
COMMAND: Final = (sys.executable, "-P", "-m", "qm.web")

#: Bytes that it may say.
_SAID_MAX: Final = 4096

#: Seconds between the end of its stdout and its own end, when it dies.
_DYING_SECONDS: Final = 1.0


class WebChild:
    """A running web process. Its stdin is ours alone: when we are gone, it ends."""

    def __init__(self, config: WebConfig, command: Sequence[str] = COMMAND) -> None:
        """Starts it and tells it `config`. Raises OSError."""
        with _interrupts_held():
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=_environment(),
                umask=0o077,
                bufsize=0,
            )
        assert self._process.stdin is not None and self._process.stdout is not None  # both are pipes
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        self._said = b""
        self._mute = False
        self.pid = self._process.pid
        os.set_blocking(self._stdout.fileno(), False)
        with contextlib.suppress(BrokenPipeError):  # dead already: its exit code says more
            self._stdin.write(config.to_line())

    def fileno(self) -> int:
        """Readable when it said something, and when it died."""
        return self._stdout.fileno()

    def hear(self) -> Address | None:
        """Where it serves, once it said so. Raises `BadRequest` where it says something else."""
        with contextlib.suppress(BlockingIOError):
            while not self._mute:
                heard = os.read(self._stdout.fileno(), _SAID_MAX)
                self._mute = not heard
                # more is nothing to us, but must not fill the pipe
                self._said = (self._said + heard)[:_SAID_MAX]
        line, end, _ = self._said.partition(b"\n")
        return WebReady.of_line(line).http if end else None

    def exitcode(self) -> int | None:
        """How it ended, negative for a signal; None while it runs."""
        if self._mute:  # dying: only that ends its stdout, and we are the only ones to see it out
            return self._wait(_DYING_SECONDS)
        return self._process.poll()

    def end(self, seconds: float) -> int:
        """Asks it to end, waits for `seconds`, kills it. Gives the exit code. Twice is fine."""
        if self._process.poll() is None and seconds > 0:
            self._process.terminate()
        code = self._wait(seconds)
        self._stdin.close()
        self._stdout.close()
        return code

    def _wait(self, seconds: float) -> int:
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """A child started inside does not hear Ctrl-C, from its first moment; we hear it after."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _environment() -> dict[str, str]:
    """Ours without QM_*: all that the child needs it is told, and some of these are secrets."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("QM_")}
    root = str(Path(__file__).parents[2])
    if root not in (*site.getsitepackages(), site.getusersitepackages()):  # a checkout, not installed
        kept["PYTHONPATH"] = os.pathsep.join([root, *filter(None, [kept.get("PYTHONPATH")])])
    return kept
