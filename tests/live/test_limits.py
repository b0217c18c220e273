"""Time limits and cancel: of real processes that do not want to end."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from qm.client import Client, new_task
from qm.task import Attempt, Failure, Outcome, State, Task
from tests.live.stage import Manager, Pools, alive, eventually

pytestmark = pytest.mark.xdist_group("live-pool")

OPERATIONS = """
    import itertools, os, re, subprocess, sys, time
    from pathlib import Path
    from qm import Cancelled, Operations, TimeLimitExceeded

    ops = Operations()

    @ops.operation("echo")
    def echo(value):
        return value

    @ops.operation("quick", timeout=0.5, attempts=1)
    def quick(value):
        return spin(value)

    @ops.operation("spin")
    def spin(value):
        Path(value).touch()
        while True:
            pass

    @ops.operation("sleep")
    def sleep(value):
        Path(value).touch()
        time.sleep(1000)

    @ops.operation("read")
    def read(value):
        reader, writer = os.pipe()
        Path(value).touch()
        os.read(reader, 1)

    @ops.operation("regex")
    def regex(value):
        Path(value).touch()
        re.match("(a+)+$", "a" * 40 + "b")

    @ops.operation("hold-the-lock")
    def hold_the_lock(value):
        Path(value).touch()
        max(itertools.repeat(1))  # for ever, in C, without a look at signals

    @ops.operation("swallow")
    def swallow(value):
        Path(value).touch()
        while True:
            try:
                while True:
                    time.sleep(0.01)
            except BaseException as error:
                print("swallowed", type(error).__name__, flush=True)

    @ops.operation("clean-up")
    def clean_up(value):
        Path(value).touch()
        try:
            time.sleep(1000)
        except (Cancelled, TimeLimitExceeded):
            return "cleaned up"

    @ops.operation("leave-a-process")
    def leave_a_process(value):
        process = subprocess.Popen(["sleep", "1000"])
        Path(value).write_text(str(process.pid))
        hold_the_lock(value + ".running")
"""


@pytest.fixture(autouse=True)
def operations(pools: Pools) -> None:
    pools.write("my_ops", OPERATIONS)


def failure(of: Task | Attempt) -> Failure:
    """The error, which must be there."""
    assert of.error is not None
    error: Failure = of.error
    return error


class Victim:
    """A task that does not end by itself."""

    def __init__(self, client: Client, folder: Path, type_: str, **options: float) -> None:
        self._client = client
        self._sign = folder / type_
        self.id = client.add(type_, str(self._sign), attempts=1, **options)

    def runs(self) -> str:
        eventually(self._sign.exists)
        return self.id

    def end(self) -> tuple[Task, Attempt]:
        task = self._client.get(self.id, wait=20)
        return task, self._client.attempts(self.id)[-1]


@pytest.mark.parametrize("type_", ["spin", "sleep", "read", "regex"])
def test_a_task_over_its_limit_gets_the_exception_where_it_is(
    client: Client, pools: Pools, tmp_path: Path, type_: str
) -> None:
    pool = pools.start()
    client.result(client.add("echo", 1), wait=20)
    child = _child(pool.pid)
    victim = Victim(client, tmp_path, type_, timeout=0.3)
    task, attempt = victim.end()
    assert (task.state, task.failures, task.crashes) == (State.FAILED, 1, 0)
    assert attempt.outcome is Outcome.TIMEOUT
    assert failure(attempt).type == "TimeLimitExceeded"
    assert failure(attempt).message == "over its limit of 0.3 s"
    assert f"in {type_}" in failure(attempt).traceback
    assert "qm/worker" not in failure(attempt).traceback
    assert attempt.ended - attempt.started >= 0.3
    assert client.result(client.add("echo", 2), wait=20) == 2
    assert _child(pool.pid) == child, "the process was spared"


def _child(pool: int) -> int:
    """The one child beside the helper process of multiprocessing."""
    return max(int(pid) for pid in Path(f"/proc/{pool}/task/{pool}/children").read_text().split())


def test_a_limit_of_the_type_counts_too(client: Client, pools: Pools, tmp_path: Path) -> None:
    pools.start()
    ended = client.get(client.add("quick", str(tmp_path / "sign")), wait=20)
    assert (ended.state, failure(ended).message) == (State.FAILED, "over its limit of 0.5 s")


def test_a_limit_is_counted_from_the_start_and_not_from_the_take(client: Client, pools: Pools) -> None:
    """The second task of a batch waits for the first longer than its own limit."""
    pools.write(
        "my_ops",
        """
        import time
        from qm import Operations

        ops = Operations()

        @ops.operation("nap", timeout=0.08)
        def nap(value):
            time.sleep(value)
        """,
    )
    pools.start()
    for _ in range(4):
        ids = client.add_many([new_task("nap", 0.02) for _ in range(60)])
        assert {task.state for task in client.get_many(ids, wait=20)} == {State.DONE}


def test_code_in_c_that_holds_the_lock_is_killed_and_its_stack_is_told(
    client: Client, pools: Pools, tmp_path: Path
) -> None:
    pools.start(grace=0.5)
    victim = Victim(client, tmp_path, "hold-the-lock", timeout=0.3)
    task, attempt = victim.end()
    assert (task.state, task.failures, task.crashes) == (State.FAILED, 1, 0)
    assert (attempt.outcome, attempt.exitcode) == (Outcome.TIMEOUT, -signal.SIGKILL)
    assert "over its limit of 0.3 s; it did not stop within 0.5 s and was killed" in str(attempt.error)
    assert "in hold_the_lock" in failure(attempt).traceback
    assert (attempt.peak_memory or 0) > 5_000_000
    assert client.result(client.add("echo", 2), wait=20) == 2


def test_code_that_swallows_the_exception_gets_it_again_and_is_killed(
    client: Client, pools: Pools, tmp_path: Path
) -> None:
    pools.start(grace=1)
    _, attempt = Victim(client, tmp_path, "swallow", timeout=0.2).end()
    assert attempt.outcome is Outcome.TIMEOUT
    assert attempt.log.count("swallowed TimeLimitExceeded") >= 2
    assert "in swallow" in failure(attempt).traceback


def test_a_task_that_cleans_up_in_time_and_returns_is_done(
    client: Client, pools: Pools, tmp_path: Path
) -> None:
    pools.start()
    task, attempt = Victim(client, tmp_path, "clean-up", timeout=0.2).end()
    assert (task.state, task.output, attempt.outcome) == (State.DONE, "cleaned up", Outcome.OK)


def test_a_timeout_is_tried_again_as_any_failure(client: Client, pools: Pools, tmp_path: Path) -> None:
    pools.start()
    id_ = client.add("spin", str(tmp_path / "sign"), timeout=0.2)
    eventually(lambda: client.get(id_).state is State.SCHEDULED)
    assert (client.get(id_).failures, failure(client.get(id_)).type) == (1, "TimeLimitExceeded")


@pytest.mark.parametrize("type_", ["spin", "sleep", "read", "regex"])
def test_a_running_task_is_cancelled_at_once(
    client: Client, pools: Pools, tmp_path: Path, type_: str
) -> None:
    pools.start()
    victim = Victim(client, tmp_path, type_)
    victim.runs()
    assert client.cancel(victim.id) is State.RUNNING
    task, attempt = victim.end()
    assert attempt.exitcode is None, "it was killed"
    assert (task.state, task.failures, task.crashes) == (State.CANCELLED, 0, 0)
    assert (attempt.outcome, failure(attempt).type) == (Outcome.CANCELLED, "Cancelled")
    assert f"in {type_}" in failure(attempt).traceback
    assert client.result(client.add("echo", 2), wait=20) == 2


@pytest.mark.parametrize("type_", ["hold-the-lock", "swallow"])
def test_a_cancelled_task_that_does_not_stop_is_killed(
    client: Client, pools: Pools, tmp_path: Path, type_: str
) -> None:
    pools.start(grace=0.5)
    victim = Victim(client, tmp_path, type_)
    client.cancel(victim.runs())
    assert client.get(victim.id).cancelling
    task, attempt = victim.end()
    assert (task.state, attempt.outcome) == (State.CANCELLED, Outcome.CANCELLED)
    assert attempt.exitcode == -signal.SIGKILL
    assert f"in {type_.replace('-', '_')}" in failure(attempt).traceback


def test_what_a_killed_task_has_started_dies_with_it(client: Client, pools: Pools, tmp_path: Path) -> None:
    pools.start(grace=0.3)
    victim = Victim(client, tmp_path, "leave-a-process")
    eventually(lambda: (tmp_path / "leave-a-process.running").exists())
    pid = int((tmp_path / "leave-a-process").read_text())
    assert alive(pid)
    client.cancel(victim.id)
    victim.end()
    eventually(lambda: not alive(pid))


def test_neighbours_of_a_cancelled_task_run_elsewhere_uncounted(
    client: Client, pools: Pools, tmp_path: Path
) -> None:
    pools.start(grace=0.3)
    client.get_many(client.add_many([new_task("echo", n) for n in range(400)]), wait=20)
    before = client.add_many([new_task("echo", n) for n in range(20)])
    victim = Victim(client, tmp_path, "hold-the-lock")
    behind = client.add_many([new_task("echo", n) for n in range(20)])
    client.cancel(victim.runs())
    neighbours = client.get_many([*before, *behind], wait=20)
    assert {(task.state, task.failures, task.crashes, task.lost) for task in neighbours} == {
        (State.DONE, 0, 0, 0)
    }
    assert victim.end()[0].state is State.CANCELLED


def test_a_wish_to_cancel_outlives_the_manager_and_the_worker(
    manager: Manager, client: Client, pools: Pools, tmp_path: Path
) -> None:
    pool = pools.start()
    victim = Victim(client, tmp_path, "spin")
    victim.runs()
    os.kill(pool.pid, signal.SIGSTOP)
    client.cancel(victim.id)
    manager.stop()
    manager.start()
    assert client.get(victim.id).cancelling
    os.kill(pool.pid, signal.SIGCONT)
    assert victim.end()[0].state is State.CANCELLED


def test_a_cancelled_task_whose_child_dies_does_not_run_again(
    client: Client, pools: Pools, tmp_path: Path
) -> None:
    pool = pools.start()
    victim = Victim(client, tmp_path, "spin")
    victim.runs()
    child = _child(pool.pid)
    os.kill(pool.pid, signal.SIGSTOP)
    client.cancel(victim.id)
    os.kill(child, signal.SIGKILL)
    os.kill(pool.pid, signal.SIGCONT)
    task, attempt = victim.end()
    assert (task.state, attempt.outcome) == (State.CANCELLED, Outcome.CRASHED)
