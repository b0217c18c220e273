"""The flight recorder: what is kept of attempts that were not quiet, and how a pool is told to leave."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from qm.client import Client, new_task
from qm.limits import LOG_MAX, LOG_MAX_OK
from qm.task import Outcome, State
from tests.live.stage import Pools, alive, eventually, output_of

pytestmark = pytest.mark.xdist_group("live-pool")

OPERATIONS = """
    import logging, os, subprocess, sys, time
    from pathlib import Path
    from qm import Operations

    ops = Operations()
    log = logging.getLogger("my_ops")

    @ops.operation("echo")
    def echo(value):
        return value

    @ops.operation("say")
    def say(value):
        print(value)
        return value

    @ops.operation("fail")
    def fail(value):
        log.warning("about to fail with %s", value)
        print("printed")
        os.write(2, b"written\\n")
        subprocess.run(["echo", "from a program"])
        raise ValueError(value)

    @ops.operation("flood")
    def flood(bytes):
        line = "x" * 99
        for number in range(bytes // 100):
            print(line)
        print("the end")
        raise ValueError("flooded")

    @ops.operation("program-floods")
    def program_floods(seconds):
        end = time.monotonic() + seconds
        program = subprocess.Popen(["yes", "0123456789"])
        time.sleep(seconds)
        program.kill()
        program.wait()
        raise ValueError("flooded")

    @ops.operation("memory-of")
    def memory_of(pid):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1])

    @ops.operation("until")
    def until(path, started):
        Path(started).write_text(str(os.getpid()))
        while not Path(path).exists():
            time.sleep(0.01)
        return "done"
"""


@pytest.fixture(autouse=True)
def operations(pools: Pools) -> None:
    pools.write("my_ops", OPERATIONS)


def test_a_failed_attempt_keeps_its_output_its_log_and_where_it_ran(client: Client, pools: Pools) -> None:
    pool = pools.start()
    id_ = client.add("fail", "this", attempts=1)
    client.get(id_, wait=20)
    (attempt,) = client.attempts(id_)
    assert (attempt.attempt, attempt.outcome, attempt.exitcode) == (1, Outcome.ERROR, None)
    assert str(attempt.error) == "ValueError: this"
    assert attempt.error is not None and "in fail" in attempt.error.traceback
    *logged, third, second, last = attempt.log.splitlines()
    assert any(line.endswith("Z WARNING my_ops about to fail with this") for line in logged)
    assert (third, second, last) == ("printed", "written", "from a program")
    assert (attempt.worker or "").endswith(f":{pool.pid}")
    assert attempt.pid not in (None, pool.pid)
    assert 5_000_000 < (attempt.peak_memory or 0) < 2_000_000_000
    assert attempt.started <= attempt.ended
    pool.terminate()
    assert "about to fail with this" in output_of(pool), "the pool's own log has it, too"


def test_a_quiet_success_keeps_nothing_and_a_chatty_one_its_last_words(client: Client, pools: Pools) -> None:
    pools.start()
    said = [new_task("say", f"number {n}") for n in range(20)]
    quiet = [new_task("echo", n) for n in range(20)]
    ids = client.add_many(task for pair in zip(said, quiet, strict=True) for task in pair)
    client.get_many(ids, wait=20)
    for n, (chatty, silent) in enumerate(zip(ids[::2], ids[1::2], strict=True)):
        (attempt,) = client.attempts(chatty)
        assert (attempt.outcome, attempt.log) == (Outcome.OK, f"number {n}\n")
        (attempt,) = client.attempts(silent)
        assert (attempt.outcome, attempt.log, attempt.pid) == (Outcome.OK, "", None)
    long = client.add("say", "y" * 10_000)
    client.result(long, wait=20)
    assert client.attempts(long)[0].log == "y" * (LOG_MAX_OK - 1) + "\n"


def test_a_flood_is_cut_to_its_end(client: Client, pools: Pools) -> None:
    """More than the file could hold, by Python's own writing."""
    pools.start()
    id_ = client.add("flood", 80 << 20, attempts=1)
    client.get(id_, wait=60)
    (attempt,) = client.attempts(id_)
    assert str(attempt.error) == "ValueError: flooded"
    assert len(attempt.log) == LOG_MAX
    assert attempt.log.endswith("x\nthe end\n")
    after = client.add("say", "small")
    client.result(after, wait=20)
    assert client.attempts(after)[0].log == "small\n"


def test_a_program_that_floods_does_not_fill_the_memory(client: Client, pools: Pools) -> None:
    pool = pools.start()
    id_ = client.add("program-floods", 2, attempts=1)
    client.get(id_, wait=60)
    (attempt,) = client.attempts(id_)
    assert len(attempt.log) == LOG_MAX
    after = client.add("say", "small")
    client.result(after, wait=20)
    assert client.attempts(after)[0].log == "small\n"
    assert _shared_memory(pool.pid) < 8 << 20


def _shared_memory(pid: int) -> int:
    """What a process and its children have of files in memory, in bytes."""
    files = {}
    for process in (pid, *_children(pid)):
        for fd in Path(f"/proc/{process}/fd").iterdir():
            if "memfd:qmworker" in os.readlink(fd):
                status = fd.stat()
                files[status.st_ino] = status.st_blocks * 512
    return sum(files.values())


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_every_attempt_is_kept(client: Client, pools: Pools) -> None:
    pools.start()
    id_ = client.add("fail", 0, attempts=1)
    client.get(id_, wait=20)
    client.requeue(id_)
    eventually(lambda: client.get(id_).attempt == 2 and client.get(id_).state is State.FAILED)
    assert [attempt.attempt for attempt in client.attempts(id_)] == [1, 2]


def _group(pool: subprocess.Popen[str], number: int) -> None:
    os.killpg(pool.pid, number)


def _everyone(pool: subprocess.Popen[str], number: int) -> None:
    """As systemd stops a service: all processes of its control group."""
    for pid in (*_children(pool.pid), pool.pid):
        os.kill(pid, number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("say", [_group, _everyone])
def test_whoever_else_hears_the_signal_the_running_task_ends_first(
    client: Client,
    pools: Pools,
    tmp_path: Path,
    say: Callable[[subprocess.Popen[str], int], None],
    number: signal.Signals,
) -> None:
    pool = pools.start(processes=3)
    gate, started = tmp_path / "gate", tmp_path / "started"
    id_ = client.add("until", [str(gate), str(started)])
    eventually(lambda: started.exists() and started.read_text())
    child = int(started.read_text())
    say(pool, number)
    eventually(lambda: client.status().unserved or len(_children(pool.pid)) < 4)
    time.sleep(0.2)
    assert alive(child)
    gate.touch()
    assert pool.wait(20) == 0
    ended = client.get(id_, wait=5)
    assert (ended.state, ended.attempt, ended.crashes) == (State.DONE, 1, 0)


def test_a_service_that_is_stopped_while_it_starts_ends_well(client: Client, pools: Pools) -> None:
    pool = pools.start(processes=4)
    eventually(lambda: len(_children(pool.pid)) >= 4)
    _everyone(pool, signal.SIGTERM)
    assert pool.wait(20) == 0, output_of(pool)
