"""A pool of real processes, and what happens when they die."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from qm.client import Client
from qm.manager import QueueManager
from qm.queue import Queue
from qm.store.sqlite import SQLiteStore
from qm.task import State, Task

pytestmark = pytest.mark.xdist_group("live-pool")

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
        sys.exit(qm.Worker(load=["my_ops"], processes=int(sys.argv[1]), drain=float(sys.argv[2])).run())
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
        self._server = QueueManager(("127.0.0.1", self.port), KEY, self.queue).get_server()
        self.port = self._server.address.port
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def stop(self) -> None:
        self.queue.drain()
        self._server.stop()
        self._thread.join()
        self.queue.core.store.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(tmp_path / "queue.db")
    yield manager
    manager.stop()


@pytest.fixture
def client(manager: Manager) -> Iterator[Client]:
    with Client(("127.0.0.1", manager.port), KEY) as client:
        yield client


class Pools:
    """Starts worker scripts, and sees that none is left."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self._port = port
        self._started: list[subprocess.Popen[str]] = []
        self.write("my_ops", OPERATIONS)
        self.write("script", SCRIPT)
        key = folder / "authkey"
        key.write_bytes(KEY)
        key.chmod(0o600)

    def write(self, module: str, text: str) -> None:
        (self.folder / f"{module}.py").write_text(dedent(text))

    def start(self, processes: int = 1, drain: float = 25, script: str = "script") -> subprocess.Popen[str]:
        environment = {
            **os.environ,
            "QM_HOME": str(self.folder),
            "QM_RPC": f"127.0.0.1:{self._port}",
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        }
        pool = subprocess.Popen(
            [sys.executable, f"{script}.py", str(processes), str(drain)],
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


@pytest.fixture
def pools(tmp_path: Path, manager: Manager) -> Iterator[Pools]:
    pools = Pools(tmp_path, manager.port)
    yield pools
    pools.stop_all()


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


class Blocked:
    """A task that runs until it is told to end."""

    def __init__(self, client: Client, folder: Path, name: str = "gate", **options: Any) -> None:
        self._gate, self._started = folder / name, folder / f"{name}.started"
        self._client = client
        self.id = client.add("until", [str(self._gate), str(self._started)], **options)

    def pids(self) -> list[int]:
        """The processes it was started in, so far."""
        return [int(line) for line in self._started.read_text().split()] if self._started.exists() else []

    def runs(self) -> int:
        return int(eventually(self.pids)[-1])

    def open(self) -> Task:
        self._gate.touch()
        return self._client.get(self.id, wait=20)


def test_tasks_are_run_and_results_handed_back(client: Client, pools: Pools) -> None:
    pools.start(processes=2)
    ids = [client.add("echo", value) for value in (1, "zwei", None, {"a": [True]}, 2**100)]
    ids.append(client.add("fibonacci", "20"))
    assert [client.result(id_, wait=20) for id_ in ids] == [1, "zwei", None, {"a": [True]}, 2**100, 6765]


def test_a_dead_childs_task_runs_elsewhere_at_once_and_is_charged(
    client: Client, pools: Pools, tmp_path: Path
) -> None:
    pools.start(processes=2)
    task = Blocked(client, tmp_path)
    first = task.runs()
    killed = time.monotonic()
    os.kill(first, signal.SIGKILL)
    eventually(lambda: len(task.pids()) == 2)
    assert time.monotonic() - killed < 1
    ended = task.open()
    assert (ended.state, ended.crashes, ended.lost, ended.failures, ended.attempt) == (State.DONE, 1, 0, 0, 2)


@pytest.mark.parametrize(
    ("type_", "value", "cause"),
    [
        ("signal", int(signal.SIGSEGV), "SIGSEGV"),
        ("signal", int(signal.SIGKILL), "SIGKILL"),
        ("exit", 3, "exit 3"),
        ("exit", 0, "exit 0"),
    ],
)
def test_a_third_crash_parks_the_task_with_its_cause_and_neighbours_go_on(
    client: Client, pools: Pools, type_: str, value: int, cause: str
) -> None:
    pools.start(processes=2)
    poison = client.add(type_, value)
    neighbours = client.add_many(_echoes(20))
    parked = client.get(poison, wait=20)
    assert (parked.state, parked.crashes, parked.failures) == (State.FAILED, 3, 0)
    assert parked.reason == f"crashed 3 times: {cause}"
    assert all(task.state is State.DONE for task in client.get_many(neighbours, wait=20))


def _echoes(count: int) -> list[Any]:
    from qm.client import new_task

    return [new_task("echo", n) for n in range(count)]


def test_what_a_task_started_dies_with_its_child(client: Client, pools: Pools, tmp_path: Path) -> None:
    pools.start()
    client.get(client.add("spawn-and-die", str(tmp_path / "grandchild")), wait=20)
    pid = int((tmp_path / "grandchild").read_text())
    eventually(lambda: not alive(pid))


def test_a_fork_left_behind_does_not_hide_its_childs_death(client: Client, pools: Pools) -> None:
    pools.start()
    assert client.get(client.add("fork-and-die"), wait=20).reason == "crashed 3 times: SIGKILL"


def test_the_first_signal_lets_the_running_task_end(client: Client, pools: Pools, tmp_path: Path) -> None:
    pool = pools.start(processes=2)
    task = Blocked(client, tmp_path)
    task.runs()
    os.killpg(pool.pid, signal.SIGINT)  # as Ctrl-C does: to the parent and its children alike
    eventually(lambda: not client.status().workers[0:1] or len(_children(pool)) <= 2)
    later = client.add("echo", "later")
    ended = task.open()
    assert pool.wait(20) == 0
    assert (ended.state, ended.attempt) == (State.DONE, 1)
    assert client.get(later).state is State.WAITING
    assert client.status().workers == []


def _children(pool: subprocess.Popen[str]) -> list[str]:
    return Path(f"/proc/{pool.pid}/task/{pool.pid}/children").read_text().split()


def test_the_second_signal_kills_and_the_task_goes_back_uncounted(
    client: Client, pools: Pools, tmp_path: Path
) -> None:
    pool = pools.start()
    task = Blocked(client, tmp_path)
    child = task.runs()
    pool.terminate()
    pool.terminate()
    time.sleep(0.2)  # two signals that arrive together are one
    pool.terminate()
    assert pool.wait(20) == 0
    assert not alive(child)
    back = client.get(task.id)
    assert (back.state, back.crashes, back.lost, back.failures) == (State.WAITING, 0, 0, 0)


def test_a_task_that_outlasts_the_drain_goes_back_uncounted(
    client: Client, pools: Pools, tmp_path: Path
) -> None:
    pool = pools.start(drain=0.3)
    task = Blocked(client, tmp_path)
    child = task.runs()
    pool.terminate()
    assert pool.wait(20) == 0
    assert not alive(child)
    assert (client.get(task.id).state, client.get(task.id).crashes) == (State.WAITING, 0)


def test_children_die_with_their_parent(client: Client, pools: Pools, tmp_path: Path) -> None:
    pool = pools.start()
    child = Blocked(client, tmp_path).runs()
    pool.kill()
    eventually(lambda: not alive(child))


def test_a_pool_that_falls_silent_loses_its_task_at_the_end_of_its_term(
    monkeypatch: pytest.MonkeyPatch, client: Client, pools: Pools, tmp_path: Path
) -> None:
    for module in ("sessions", "session"):
        monkeypatch.setattr(f"qm.queue.{module}.SESSION_TERM", 1.0)
    silent = pools.start()
    task = Blocked(client, tmp_path)
    task.runs()
    silent.kill()
    pools.start()
    eventually(lambda: len(task.pids()) == 2)
    ended = task.open()
    assert (ended.state, ended.lost, ended.crashes) == (State.DONE, 1, 0)


def test_a_restart_of_the_manager_repeats_nothing(
    manager: Manager, client: Client, pools: Pools, tmp_path: Path
) -> None:
    pools.start(processes=2)
    task = Blocked(client, tmp_path)
    task.runs()
    manager.stop()
    manager.start()
    assert client.result(client.add("echo", "after"), wait=20) == "after"
    ended = task.open()
    assert (ended.state, ended.attempt, len(task.pids())) == (State.DONE, 1, 1)


def test_a_result_that_ended_while_the_manager_was_away_is_handed_in_later(
    manager: Manager, client: Client, pools: Pools, tmp_path: Path
) -> None:
    pools.start()
    task = Blocked(client, tmp_path)
    task.runs()
    manager.stop()
    (tmp_path / "gate").touch()
    time.sleep(0.5)
    manager.start()
    ended = client.get(task.id, wait=20)
    assert (ended.state, ended.attempt, ended.output) == (State.DONE, 1, "done")


def test_a_death_while_the_manager_was_away_is_reported_later(
    manager: Manager, client: Client, pools: Pools, tmp_path: Path
) -> None:
    pools.start()
    task = Blocked(client, tmp_path)
    child = task.runs()
    manager.stop()
    os.kill(child, signal.SIGKILL)
    eventually(lambda: not alive(child))
    manager.start()
    eventually(lambda: len(task.pids()) == 2)
    assert task.open().crashes == 1


def test_a_module_that_does_not_import_ends_the_pool_with_its_error(pools: Pools) -> None:
    pools.write("my_ops", "import does_not_exist")
    pool = pools.start(processes=2)
    output = output_of(pool)
    assert pool.returncode != 0
    assert "does_not_exist" in output and "LoadError" in output


def test_a_script_without_a_guard_ends_with_a_clear_error(pools: Pools) -> None:
    pools.write("script", 'import qm\nqm.Worker(load=["my_ops"], processes=2).run()\n')
    pool = pools.start()
    output = output_of(pool)
    assert pool.returncode != 0
    assert 'if __name__ == "__main__"' in output
    assert output.count("Traceback") == 1  # the parent's own; the children say nothing


def test_children_that_die_at_their_start_are_not_respawned_for_ever(pools: Pools) -> None:
    pools.write("my_ops", "import os\nos._exit(5)")
    pool = pools.start()
    output = output_of(pool)
    assert pool.returncode != 0
    assert "3 children in a row died before they could work (exit code 5)" in output


def test_without_a_manager_the_pool_says_which_address_it_tried(pools: Pools, manager: Manager) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    pools = Pools(pools.folder, port)
    pool = pools.start()
    output = output_of(pool)
    assert pool.returncode != 0
    assert f"127.0.0.1:{port}" in output and "qmanager" in output


def test_the_key_is_in_no_childs_command_line_or_environment(client: Client, pools: Pools) -> None:
    pools.start()
    for shown in client.result(client.add("environment"), wait=20):
        assert KEY not in shown and KEY.hex().encode() not in shown


def test_the_parents_renewal_keeps_a_long_task_alive(
    monkeypatch: pytest.MonkeyPatch, client: Client, pools: Pools, tmp_path: Path
) -> None:
    for module in ("sessions", "session"):
        monkeypatch.setattr(f"qm.queue.{module}.SESSION_TERM", 0.9)
    pools.start(processes=2)
    task = Blocked(client, tmp_path)
    task.runs()
    time.sleep(2.5)
    ended = task.open()
    assert (ended.state, ended.attempt, ended.lost) == (State.DONE, 1, 0)


def test_what_a_child_has_not_started_goes_to_others_while_a_long_task_runs(
    client: Client, pools: Pools, tmp_path: Path
) -> None:
    """A batch of short tasks with a long one among them: neither the tasks behind it nor the results before
    it wait for its end."""
    pools.start(processes=1)
    client.get_many(client.add_many(_echoes(400)), wait=20)  # the child has learned to take many at once
    before = client.add_many(_echoes(20))
    task = Blocked(client, tmp_path)
    behind = client.add_many(_echoes(20))
    task.runs()
    assert all(t.state is State.DONE for t in client.get_many(before, wait=10))
    pools.start(processes=1)
    assert all(t.state is State.DONE for t in client.get_many(behind, wait=10))
    assert task.open().attempt == 1


def test_prefetch_one_takes_one_at_a_time(manager: Manager, client: Client, pools: Pools) -> None:
    pools.write(
        "my_ops",
        """
        from qm import Operations

        ops = Operations()
        for name in ("echo", "fibonacci", "arithmetic", "reverse", "encoder"):
            ops.operation(name, prefetch=1)(lambda value: value)
        """,
    )
    held: list[int] = []
    note_given = manager.queue.core.sessions.note_given

    def noting(claim: Any, slot: Any, leases: Any) -> None:
        held.append(len(leases))
        note_given(claim, slot, leases)

    manager.queue.core.sessions.note_given = noting  # type: ignore[method-assign]
    pools.start(processes=1)
    client.get_many(client.add_many(_echoes(100)), wait=20)
    assert max(held) == 1
