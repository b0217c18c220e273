"""Fault 34: wall clocks that jump by days, under a real manager and a real pool.

libfaketime stands between both and the machine's clock, and follows a file. It leaves the monotonic clock
alone, as a clock that somebody sets does.
"""

from __future__ import annotations

import os
import random
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from qm.client import Client
from qm.errors import NotFound
from qm.task import Outcome, State
from tests.live.stage import KEY, Pools, eventually
from tests.live.trouble import Program
from tests.wants import want

_DAY: Final = 86400.0

#: Where Debian's libfaketime is; ld.so puts the machine's own folder for $LIB.
_LIBRARY: Final = "/usr/$LIB/faketime/libfaketimeMT.so.1"

#: Seconds between jumps, and how many: together more than two periods of the manager's timer, and as long as
#: a renewal waits.
_PAUSE, _JUMPS = 0.4, 30 * int(os.environ.get("QM_ABUSE", "1"))

#: It waits by a lock: libfaketime breaks time.sleep.
OPERATIONS = """
    import threading
    from pathlib import Path
    from qm import Operations

    ops = Operations()

    @ops.operation("echo")
    def echo(value):
        return value

    @ops.operation("until", timeout=3600)
    def until(path, started):
        Path(started).touch()
        while not Path(path).exists():
            threading.Event().wait(0.02)
        return "done"
"""


class WallClock:
    """The wall clock of all that is started while it is there."""

    def __init__(self, file: Path, patch: pytest.MonkeyPatch) -> None:
        self._file = file
        self.jump(0)
        patch.setenv("LD_PRELOAD", _LIBRARY)
        patch.setenv("FAKETIME_TIMESTAMP_FILE", str(file))
        patch.setenv("FAKETIME_NO_CACHE", "1")
        patch.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        patch.setenv("NO_FAKE_STAT", "1")

    def jump(self, seconds: float) -> None:
        """From now on it is so far from the real one. At once: nobody may read half of it."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{seconds:+.0f}\n")
        new.replace(self._file)


@pytest.fixture
def clock(tmp_path: Path) -> Iterator[WallClock]:
    want(
        any(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")), "libfaketime (apt-get install faketime)"
    )
    with pytest.MonkeyPatch.context() as patch:
        yield WallClock(tmp_path / "clock", patch)


@pytest.fixture
def program(clock: WallClock, tmp_path: Path) -> Iterator[Program]:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (home / "authkey").write_bytes(KEY)
    (home / "authkey").chmod(0o600)
    program = Program(home, tmp_path)
    program.start()
    assert program.serves(), program.said()
    yield program
    program.kill()


@pytest.fixture
def client(program: Program) -> Iterator[Client]:
    with program.client() as client:
        yield client


@pytest.fixture
def pool(program: Program) -> Iterator[subprocess.Popen[str]]:
    pools = Pools(program.home, program.address().port)
    pools.write("my_ops", OPERATIONS)
    yield pools.start()
    pools.stop_all()


def test_a_clock_that_jumps_ends_no_session_and_no_lease(
    clock: WallClock, program: Program, client: Client, pool: subprocess.Popen[str], tmp_path: Path
) -> None:
    """Nor a time limit: what runs goes on, and is not run again."""
    chance = random.Random(34)
    eventually(lambda: client.status().workers)
    go, started = tmp_path / "go", tmp_path / "started"
    running = client.add("until", {"path": str(go), "started": str(started)}, keep=3650 * _DAY)
    eventually(started.exists)
    (session,) = client.status().workers
    pause = threading.Event()
    for days in [10, -10, *(chance.uniform(-1000, 1000) for _ in range(_JUMPS))]:
        clock.jump(days * _DAY)
        pause.wait(_PAUSE)
        assert client.get(running).state is State.RUNNING
        status = client.status()
        assert abs(status.now - time.time() - days * _DAY) < 60, "it has not jumped"
        assert [one.since for one in status.workers] == [session.since]
    echo = client.add("echo", 1, priority=1, keep=3650 * _DAY)
    go.touch()
    assert client.result(running, wait=20) == "done"
    assert client.result(echo, wait=20) == 1
    assert [one.outcome for one in client.attempts(running)] == [Outcome.OK]
    assert pool.poll() is None
    assert "WARNING" not in program.said()


def test_due_times_and_times_to_live_follow_the_wall_clock(
    clock: WallClock, client: Client, pool: subprocess.Popen[str]
) -> None:
    """Within the timer's five seconds, by which it notices a jump."""
    ended = client.add("echo", "old", keep=_DAY)
    assert client.result(ended, wait=20) == "old"
    tomorrow = client.add("echo", "tomorrow", delay=_DAY, keep=100 * _DAY)
    later = client.add("echo", "later", delay=20 * _DAY)
    clock.jump(-10 * _DAY)
    assert client.result(client.add("echo", "now", keep=100 * _DAY), wait=20) == "now"
    assert client.get(tomorrow).state is State.SCHEDULED
    clock.jump(2 * _DAY)
    assert client.result(tomorrow, wait=20) == "tomorrow"
    assert client.get(later).state is State.SCHEDULED
    with pytest.raises(NotFound):
        eventually(lambda: client.get(ended).state is not State.DONE)
    assert len(client.attempts(tomorrow)) == 1
