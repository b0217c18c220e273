"""Tasks of ten kinds that take their worker with them, or try to: the neighbours get their results, the pool
lives, and what goes on killing is parked after three strikes."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from qm.client import Client, new_task
from qm.messages import NewTask
from qm.task import Outcome, State
from tests.live.groups import group_of, members
from tests.live.stage import Pools, alive, eventually

pytestmark = pytest.mark.xdist_group("live-pool")

OPERATIONS = """
    import ctypes, os, resource, signal, sys, threading, time
    from qm import Operations

    ops = Operations()

    @ops.operation("echo")
    def echo(value):
        return value

    @ops.operation("kill")
    def kill(value):
        os.kill(os.getpid(), signal.SIGKILL)

    @ops.operation("segfault")
    def segfault(value):
        print("the last words of", value, flush=True)
        ctypes.string_at(0)

    @ops.operation("exit")
    def leave(value):
        os._exit(3)

    @ops.operation("recursion")
    def recursion(value):
        return recursion(value)

    @ops.operation("stack")
    def stack(value):
        # the C stack: Python's own bound is out of the way
        sys.setrecursionlimit(10**9)
        nested = []
        for _ in range(10**6):
            nested = [nested]
        return repr(nested)

    @ops.operation("memory")
    def memory(value):
        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20), hard))
        try:
            return len(bytearray(10 << 30))
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))

    @ops.operation("fork-bomb")
    def fork_bomb(value):
        while True:
            try:
                os.fork()
            except OSError:
                time.sleep(0.01)

    @ops.operation("fork-comes-back")
    def fork_comes_back(value):
        pid = os.fork()
        if pid == 0:
            if value == "raise":
                raise ValueError("of the fork")
            return "of the fork"
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    @ops.operation("close-everything")
    def close_everything(value):
        os.closerange(0, 51)
        return "closed"

    @ops.operation("close-all-but-three")
    def close_all_but_three(value):
        os.closerange(3, 51)
        if value == "raise":
            raise ValueError("closed")
        print("closed")
        return "closed"

    @ops.operation("sys-exit")
    def sys_exit(value):
        sys.exit("no more")

    @ops.operation("endless", timeout=0.3)
    def endless(value):
        while True:
            pass

    @ops.operation("threads")
    def threads(value):
        for _ in range(10):
            threading.Thread(target=time.sleep, args=(1000,)).start()
        return "left"
"""


@pytest.fixture(autouse=True)
def operations(pools: Pools) -> None:
    pools.write("my_ops", OPERATIONS)


def run_among_neighbours(client: Client, pools: Pools, type_: str) -> str:
    """Runs a poison, which may fail once only, in a pool of two that has other work. Gives its id."""
    pools.start(processes=2, grace=0.5)
    neighbours = client.add_many(echoes(30))
    poison = client.add(type_, type_, attempts=1)
    neighbours += client.add_many(echoes(30))
    client.get(poison, wait=30)
    neighbours += client.add_many(echoes(30))
    ended = client.get_many(neighbours, wait=20)
    assert {task.state for task in ended} == {State.DONE}
    assert {task.failures for task in ended} == {0}
    return poison


def echoes(count: int) -> list[NewTask]:
    return [new_task("echo", n) for n in range(count)]


@pytest.mark.parametrize(
    ("type_", "cause"),
    [("kill", "SIGKILL"), ("segfault", "SIGSEGV"), ("exit", "exit 3"), ("stack", "SIGSEGV")],
)
def test_what_kills_its_worker_is_parked_after_three_strikes(
    client: Client, pools: Pools, type_: str, cause: str
) -> None:
    poison = run_among_neighbours(client, pools, type_)
    task, attempts = client.get(poison), client.attempts(poison)
    assert (task.state, task.crashes, task.failures) == (State.FAILED, 3, 0)
    assert task.reason == f"crashed 3 times: {cause}"
    crashed = [attempt for attempt in attempts if attempt.outcome is Outcome.CRASHED]
    assert [attempt.cause for attempt in crashed] == [cause] * 3


def test_the_last_words_before_a_segmentation_fault_are_kept(client: Client, pools: Pools) -> None:
    pools.start()
    poison = client.add("segfault", "mine")
    client.get(poison, wait=20)
    for attempt in client.attempts(poison):
        assert attempt.exitcode == -signal.SIGSEGV
        assert attempt.log.startswith("the last words of mine\n")
        assert "Fatal Python error: Segmentation fault" in attempt.log
        assert "in segfault" in attempt.log
        assert attempt.pid is not None
        assert attempt.peak_memory is not None and attempt.peak_memory > 5_000_000


@pytest.mark.parametrize(
    ("type_", "error"),
    [("recursion", "RecursionError"), ("memory", "MemoryError"), ("sys-exit", "SystemExit: no more")],
)
def test_what_only_fails_costs_no_worker(client: Client, pools: Pools, type_: str, error: str) -> None:
    poison = run_among_neighbours(client, pools, type_)
    task = client.get(poison)
    assert (task.state, task.failures, task.crashes, task.attempt) == (State.FAILED, 1, 0, 1)
    assert str(task.error).startswith(error)


def test_an_endless_loop_is_ended_by_its_time_limit(client: Client, pools: Pools) -> None:
    poison = run_among_neighbours(client, pools, "endless")
    assert client.attempts(poison)[-1].outcome is Outcome.TIMEOUT


def test_closed_descriptors_cost_the_process_but_no_result(client: Client, pools: Pools) -> None:
    poison = run_among_neighbours(client, pools, "close-everything")
    task = client.get(poison)
    assert (task.state, task.output) == (State.DONE, "closed")


def test_threads_left_behind_do_not_keep_the_pool_from_leaving(client: Client, pools: Pools) -> None:
    pool = pools.start()
    assert client.result(client.add("threads"), wait=20) == "left"
    assert client.result(client.add("echo", 1), wait=20) == 1
    pool.terminate()
    assert pool.wait(10) == 0


@pytest.fixture
def few_processes() -> Iterator[Path]:
    """A control group for 60 processes at most."""
    with group_of(60) as group:
        yield group


def test_a_fork_bomb_under_a_limit_of_processes_is_ended_with_all_it_started(
    client: Client, pools: Pools, few_processes: Path
) -> None:
    pool = pools.start(processes=2, grace=0.5)
    client.result(client.add("echo", 1), wait=20)
    for pid in [pool.pid, *_below(pool.pid)]:
        (few_processes / "cgroup.procs").write_text(str(pid))
    poison = client.add("fork-bomb", attempts=1, timeout=1)
    task = client.get(poison, wait=30)
    assert task.state is State.FAILED
    assert client.attempts(poison)[-1].outcome is Outcome.TIMEOUT
    ended = client.get_many(client.add_many(echoes(30)), wait=20)
    assert {task.state for task in ended} == {State.DONE}
    pool.terminate()
    assert pool.wait(20) == 0
    eventually(lambda: not any(map(alive, members(few_processes))))


def _below(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children]


@pytest.mark.parametrize("how", ["raise", "return"])
def test_a_fork_that_comes_back_from_its_task_does_not_work_on_as_a_second_child(
    client: Client, pools: Pools, how: str
) -> None:
    pools.start(processes=1)
    assert client.result(client.add("fork-comes-back", how), wait=20) == 1, "the exit code of the fork"
    assert client.result(client.add("echo", "next"), wait=20) == "next"


@pytest.mark.parametrize("how", ["raise", "return"])
def test_a_task_that_closes_all_but_the_first_three_descriptors_keeps_its_outcome(
    client: Client, pools: Pools, how: str
) -> None:
    pools.start(processes=1)
    task = client.get(client.add("close-all-but-three", how, attempts=1), wait=20)
    assert (task.state, task.crashes) == (State.FAILED if how == "raise" else State.DONE, 0)
    late = client.get(client.add("endless", attempts=1), wait=20)
    assert late.error is not None and late.error.type == "TimeLimitExceeded", "its child has a timer again"
