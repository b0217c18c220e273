"""qmsimulator as people run it: real producers, real workers, real signals, and nothing left behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qm.client import Client
from qm.simulator.load import TYPES
from qm.store.sqlite import SQLiteStore
from qm.testing import RunningManager, running_manager

ROOT = Path(__file__).parents[2]
KEY = b"k" * 32

#: Quick tasks, many of them.
QUICK = ("--delay", "0", "--encoder-cost", "4", "--audit")


class Stage:
    """Starts simulators against one manager, and knows every process that came of them."""

    def __init__(self, home: Path) -> None:
        self.home = home
        (home / "authkey").write_bytes(KEY)
        (home / "authkey").chmod(0o600)
        self._started: list[subprocess.Popen[str]] = []

    def start(self, rpc: str, *words: str) -> subprocess.Popen[str]:
        simulator = subprocess.Popen(
            [sys.executable, "-m", "qm.cli.qmsimulator", *words],
            cwd=ROOT,
            env={**os.environ, "QM_HOME": str(self.home), "QM_RPC": rpc},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # so that a signal to its group is a Ctrl-C and not ours
        )
        self._started.append(simulator)
        return simulator

    def left(self) -> list[str]:
        """The command lines of all processes that have our home in their environment."""
        mark = f"QM_HOME={self.home}\0".encode()
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (process / "environ").read_bytes():
                    found.append(f"{process.name} {(process / 'cmdline').read_bytes()!r}")
            except OSError:  # it ended meanwhile, or is another user's
                continue
        return found

    def pids(self, word: str) -> list[int]:
        return [int(line.split()[0]) for line in self.left() if word in line]

    def end(self) -> None:
        for simulator in self._started:
            if simulator.poll() is None:
                simulator.kill()
            simulator.communicate()
        for line in self.left():
            os.kill(int(line.split()[0]), signal.SIGKILL)


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[RunningManager]:
    store = SQLiteStore.open(tmp_path / "queue.db")
    with running_manager(store, authkey=KEY) as manager:
        yield manager
    store.close()


@pytest.fixture
def client(manager: RunningManager) -> Client:
    return manager.client()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    stage.end()


def eventually(check: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def output_of(simulator: subprocess.Popen[str], seconds: float = 60) -> str:
    return simulator.communicate(timeout=seconds)[0]


def hear(simulator: subprocess.Popen[str], words: str) -> None:
    """Waits until it says so."""
    assert simulator.stdout is not None
    while words not in (line := simulator.stdout.readline()):
        assert line, "it ended without saying so"


def ctrl_c(simulator: subprocess.Popen[str]) -> None:
    """What a terminal does: a signal to the whole group."""
    os.killpg(simulator.pid, signal.SIGINT)


def added(client: Client) -> int:
    return sum(client.status().states.values())


def done(client: Client) -> int:
    return client.status().done


def test_a_counted_run_checks_every_result_and_leaves_nothing_behind(
    stage: Stage, manager: RunningManager, client: Client
) -> None:
    simulator = stage.start(str(manager.address), *QUICK, "--count", "201", "--producers", "3")
    output = output_of(simulator)
    assert simulator.returncode == 0, output
    assert output.splitlines()[-1] == "audit: sent 201, done 201, lost 0, finished twice 0"
    table = {line.split()[0]: line.split()[1:] for line in output.splitlines() if line.split()}
    assert table["all"][:3] == ["201", "201", "0"]
    assert sum(int(table[name][0]) for name in TYPES) == 201
    assert client.status().done == 201
    assert client.status().workers == []
    assert stage.left() == []


def test_the_same_seed_sends_the_same_tasks(stage: Stage, manager: RunningManager, client: Client) -> None:
    inputs = []
    for _ in range(2):
        simulator = stage.start(str(manager.address), *QUICK, "--count", "30", "--seed", "5")
        assert simulator.wait(60) == 0
        tasks = client.list(limit=500).tasks
        inputs.append(sorted((task.type, str(task.input)) for task in tasks))
        client.forget_many([task.id for task in tasks])
    assert inputs[0] == inputs[1]


def test_ctrl_c_ends_an_endless_run_with_its_verdict(
    stage: Stage, manager: RunningManager, client: Client
) -> None:
    simulator = stage.start(str(manager.address), "--delay", "0.01", "--encoder-cost", "4", "--audit")
    eventually(lambda: done(client) >= 20)
    ctrl_c(simulator)
    output = output_of(simulator)
    assert simulator.returncode == 0, output
    line = re.fullmatch(r"audit: sent (\d+), done \1, lost 0, finished twice 0", output.splitlines()[-1])
    assert line and int(line[1]) == added(client)
    assert stage.left() == []


def test_sigterm_is_as_good_as_ctrl_c(stage: Stage, manager: RunningManager, client: Client) -> None:
    simulator = stage.start(str(manager.address), "--delay", "0.01", "--encoder-cost", "4")
    eventually(lambda: done(client) >= 5)
    simulator.terminate()
    output = output_of(simulator)
    assert simulator.returncode == 0, output
    assert stage.left() == []


def test_a_counted_run_that_is_cut_short_says_so_by_its_exit_code(
    stage: Stage, manager: RunningManager, client: Client
) -> None:
    simulator = stage.start(str(manager.address), "--count", "1000", "--audit")
    eventually(lambda: done(client) >= 2)
    ctrl_c(simulator)
    output = output_of(simulator)
    assert simulator.returncode == 130, output
    assert output.splitlines()[-1].endswith("lost 0, finished twice 0")


def test_a_second_ctrl_c_waits_for_nothing(stage: Stage, manager: RunningManager, client: Client) -> None:
    simulator = stage.start(str(manager.address), "--delay", "0.01", "--no-workers")
    eventually(lambda: added(client) >= 5)
    ctrl_c(simulator)
    hear(simulator, "stopping; Ctrl-C again does not wait")
    assert simulator.poll() is None, "nothing of what is out has ended"
    ctrl_c(simulator)
    assert "interrupted; what was sent is not judged" in output_of(simulator, 10)
    assert simulator.returncode == 130
    assert stage.left() == []


def test_without_anybody_to_work_it_says_so(stage: Stage, manager: RunningManager, client: Client) -> None:
    simulator = stage.start(str(manager.address), *QUICK, "--count", "40", "--no-workers")
    hear(simulator, 'no worker serves "')
    simulator.kill()


def test_a_killed_simulator_leaves_nothing_behind(
    stage: Stage, manager: RunningManager, client: Client
) -> None:
    simulator = stage.start(str(manager.address), "--delay", "0.01", "--encoder-cost", "4")
    eventually(lambda: done(client) >= 5)
    assert stage.pids("qmworker") and stage.pids("multiprocessing")
    simulator.kill()
    simulator.wait()
    eventually(lambda: not stage.left())


@pytest.mark.parametrize(
    ("victim", "words"), [("qmworker", "the pool of workers ended"), ("spawn_main", "died with exit code -9")]
)
def test_the_death_of_a_process_it_needs_ends_the_run_with_its_name(
    stage: Stage, manager: RunningManager, client: Client, victim: str, words: str
) -> None:
    simulator = stage.start(str(manager.address), "--delay", "0.01", "--encoder-cost", "4")
    eventually(lambda: done(client) >= 5)
    children = Path(f"/proc/{simulator.pid}/task/{simulator.pid}/children").read_text().split()
    mine = [pid for pid in stage.pids(victim) if str(pid) in children]
    os.kill(mine[0], signal.SIGKILL)
    output = output_of(simulator)
    assert simulator.returncode == 1, output
    assert words in output
    eventually(lambda: not stage.left())


def test_without_a_manager_it_says_so_within_seconds(stage: Stage) -> None:
    simulator = stage.start("127.0.0.1:1", "--count", "1")
    output = output_of(simulator, 20)
    assert simulator.returncode == 7
    assert "cannot reach the manager at 127.0.0.1:1" in output
    assert "hint: " in output


def test_a_wrong_key_is_refused(stage: Stage, manager: RunningManager) -> None:
    (stage.home / "authkey").write_bytes(b"x" * 32)
    simulator = stage.start(str(manager.address), "--count", "1")
    output = output_of(simulator)
    assert simulator.returncode == 4, output
    assert stage.left() == []


def test_a_run_outlives_a_restart_of_the_manager(stage: Stage, tmp_path: Path) -> None:
    store = SQLiteStore.open(tmp_path / "queue.db")
    with running_manager(store, authkey=KEY) as manager:
        address, client = manager.address, manager.client()
        simulator = stage.start(str(address), "--delay", "0.02", "--encoder-cost", "4", "--audit")
        eventually(lambda: done(client) >= 10)
    time.sleep(1)
    with running_manager(store, address=address, authkey=KEY) as manager:
        client = manager.client()
        before = done(client)
        eventually(lambda: done(client) > before + 10)
        ctrl_c(simulator)
        output = output_of(simulator)
    store.close()
    assert simulator.returncode == 0, output
    assert output.splitlines()[-1].endswith("lost 0, finished twice 0")
