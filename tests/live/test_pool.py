"""A pool of real processes, and what happens when they die."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from qm.client import Client
from qm.task import Outcome, State, Task
from tests.live.stage import KEY, SCRIPT, Manager, Pools, alive, eventually, output_of

pytestmark = pytest.mark.xdist_group("live-pool")


#: Stops its own process just before it returns, the first time.
STOPS_ITSELF = """
    import os, signal
    from pathlib import Path
    from qm import Operations

    ops = Operations()

    @ops.operation("echo")
    def echo(value):
        return value

    @ops.operation("stop-once")
    def stop_once(path):
        if Path(path).exists():
            return "of the second"
        new = Path(path + ".new")
        new.write_text(str(os.getpid()))
        new.rename(path)
        os.kill(os.getpid(), signal.SIGSTOP)
        return "of the first"
"""


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


def test_a_failed_attempt_is_in_the_log_with_its_task_and_its_worker(client: Client, pools: Pools) -> None:
    pool = pools.start()
    assert client.get(client.add("fibonacci", "a secret", id="order-42"), wait=20).state is State.FAILED
    pool.send_signal(signal.SIGTERM)
    said = output_of(pool)
    name = rf"{re.escape(socket.gethostname())}:{pool.pid}/0"
    assert re.search(
        rf"WARNING qmworker qm\.worker\.child \[worker={name} task=order-42 attempt=1\] "
        r"fibonacci: NonRetryable after \d\.\d{3} s; see: qmclient show order-42\n",
        said,
    )
    assert "a secret" not in said


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


@pytest.mark.parametrize("moment", [0.03, 0.06, 0.1, 0.15])
def test_ctrl_c_while_the_processes_start_shows_nothing_of_them(pools: Pools, moment: float) -> None:
    """They import for so long that one of the moments is in the middle of that."""
    pool = pools.start(processes=3)
    eventually(lambda: len(_children(pool)) >= 3)
    time.sleep(moment)
    os.killpg(pool.pid, signal.SIGINT)
    output = output_of(pool)
    assert "Traceback" not in output and "KeyboardInterrupt" not in output


def test_who_pauses_between_two_tasks_leaves_at_once(client: Client, pools: Pools) -> None:
    pools.write(
        "patient",
        'import qm\nif __name__ == "__main__":\n    qm.Worker(processes=1, delay=300, drain=300).run()',
    )
    pool = pools.start(script="patient")
    assert client.result(client.add("reverse", "abc"), wait=20) == "cba"
    pool.terminate()
    output_of(pool)
    assert pool.returncode == 0


@pytest.mark.parametrize("drain", [30 * 86400, float("inf")])
def test_a_drain_may_last_as_long_as_one_likes(
    client: Client, pools: Pools, tmp_path: Path, drain: float
) -> None:
    pool = pools.start(drain=drain)
    task = Blocked(client, tmp_path)
    task.runs()
    pool.terminate()
    time.sleep(0.3)
    assert task.open().state is State.DONE
    assert "Traceback" not in output_of(pool) and pool.returncode == 0


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


def test_the_task_of_a_killed_pool_runs_elsewhere_within_seconds(
    client: Client, pools: Pools, tmp_path: Path
) -> None:
    first = pools.start()
    task = Blocked(client, tmp_path)
    child = task.runs()
    pools.start()
    eventually(lambda: len(client.status().workers) == 2)
    killed = time.monotonic()
    first.kill()
    os.kill(child, signal.SIGKILL)
    eventually(lambda: len(task.pids()) == 2)
    assert time.monotonic() - killed < 5
    ended = task.open()
    assert (ended.state, ended.lost, ended.crashes, ended.attempt) == (State.DONE, 1, 0, 2)


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


def test_a_pool_that_was_stopped_over_two_terms_kills_its_child_and_the_other_result_stands(
    monkeypatch: pytest.MonkeyPatch, client: Client, pools: Pools, tmp_path: Path
) -> None:
    for module in ("sessions", "session"):
        monkeypatch.setattr(f"qm.queue.{module}.SESSION_TERM", 2.0)
    frozen = pools.start()
    task = Blocked(client, tmp_path)
    child = task.runs()
    stopped = time.monotonic()
    for pid in (frozen.pid, child):
        os.kill(pid, signal.SIGSTOP)
    second = pools.start()
    eventually(lambda: len(task.pids()) == 2)
    time.sleep(max(0.0, stopped + 2 * 2.0 - time.monotonic()))
    for pid in (child, frozen.pid):
        os.kill(pid, signal.SIGCONT)
    eventually(lambda: not alive(child))
    assert client.get(task.id).state is State.RUNNING, "under the other's lease"
    ended = task.open()
    assert (ended.state, ended.lost, ended.crashes, ended.attempt) == (State.DONE, 1, 0, 2)
    lost, ok = client.attempts(task.id)
    assert (lost.outcome, ok.outcome) == (Outcome.LOST, Outcome.OK)
    assert (lost.worker, ok.worker) == tuple(f"{socket.gethostname()}:{one.pid}" for one in (frozen, second))
    eventually(lambda: len(client.status().workers) == 2)  # it is there again
    assert frozen.poll() is None and len(task.pids()) == 2


def test_a_result_of_one_that_was_stopped_over_its_term_is_dropped(
    monkeypatch: pytest.MonkeyPatch, client: Client, pools: Pools, tmp_path: Path
) -> None:
    """Its task had ended when it was stopped: it tries to hand in, and the other attempt's result stands."""
    for module in ("sessions", "session"):
        monkeypatch.setattr(f"qm.queue.{module}.SESSION_TERM", 2.0)
    pools.write("my_ops", STOPS_ITSELF)
    first = pools.start()
    client.add("stop-once", str(tmp_path / "first"), id="told-twice")
    child = int(eventually(lambda: (tmp_path / "first").exists() and (tmp_path / "first").read_text()))
    os.kill(first.pid, signal.SIGSTOP)
    pools.start()
    assert client.result("told-twice", wait=20) == "of the second"
    for pid in (child, first.pid):
        os.kill(pid, signal.SIGCONT)
    assert client.result(client.add("echo", 1), wait=20) == 1
    eventually(lambda: len(client.status().workers) == 2)
    assert client.result("told-twice") == "of the second"
    assert [one.outcome for one in client.attempts("told-twice")] == [Outcome.LOST, Outcome.OK]


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


def test_a_fork_of_a_module_whose_child_dies_at_its_start_holds_nobody_up(pools: Pools) -> None:
    pools.write("my_ops", "import os, time\nif os.fork() == 0:\n    time.sleep(1000)\nos._exit(9)")
    assert "died before they could work (exit code 9)" in output_of(pools.start())


def test_children_that_are_killed_while_they_start_end_no_pool_that_has_worked(
    client: Client, pools: Pools, tmp_path: Path
) -> None:
    """By a system that is short of memory, mostly."""
    gun, shots = tmp_path / "gun", tmp_path / "shots"
    pools.write(
        "my_ops",
        f"""
        import os, signal
        from pathlib import Path
        from qm import Operations

        ops = Operations()
        if Path({str(gun)!r}).exists():
            with open({str(shots)!r}, "a") as file:
                file.write("x")
            os.kill(os.getpid(), signal.SIGKILL)

        @ops.operation("exit")
        def leave(code):
            os._exit(code)

        @ops.operation("echo")
        def echo(value):
            return value
        """,
    )
    pool = pools.start()
    assert client.result(client.add("echo", 1), wait=20) == 1
    gun.touch()
    client.add("exit", 1)
    eventually(lambda: shots.exists() and len(shots.read_text()) > 3)
    gun.unlink()
    assert client.result(client.add("echo", 2), wait=20) == 2
    assert pool.poll() is None


@pytest.mark.parametrize("code", [0, 7])
def test_children_that_die_of_no_task_are_respawned_with_a_pause(
    pools: Pools, tmp_path: Path, code: int
) -> None:
    """What they die of may be there still: without it a pool would start processes all the time."""
    births = tmp_path / "births"
    pools.write(
        "my_ops",
        f"""
        import os, threading, time
        from qm import Operations

        ops = Operations()
        ops.operation("echo")(lambda value: value)
        with open({str(births)!r}, "a") as file:
            file.write(f"{{time.monotonic()}}\\n")
        threading.Timer(0.5, os._exit, [{code}]).start()
        """,
    )
    # so long that a slow machine's own slowness cannot be taken for it
    pools.write("script", "import qm.worker.pool\nqm.worker.pool._VACANT = 3.0\n" + dedent(SCRIPT))
    pools.start()
    eventually(lambda: births.exists() and len(births.read_text().split()) >= 2)
    first, second, *_ = map(float, births.read_text().split())
    assert second - first >= 3.5


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
