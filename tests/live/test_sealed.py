"""Payload keys with real processes: who needs them, who must not, and how they change under load."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from qm.client import Client, new_task
from qm.sealing import new_key
from qm.task import State
from qm.wire.address import parse_address
from qm.wire.keys import read_key
from tests.live.stage import KEY, Manager, Pools, eventually, output_of

pytestmark = pytest.mark.xdist_group("live-pool")

OLD, NEW = new_key(), new_key()

SECRET = "the name of the patient"

OPERATIONS = """
    import os, time
    from pathlib import Path
    import qm
    from qm import Operations

    ops = Operations()

    @ops.operation("echo")
    def echo(value):
        return value

    @ops.operation("tell-and-fail")
    def tell_and_fail(value):
        print(value, flush=True)
        raise ValueError(value)

    @ops.operation("tell-and-die")
    def tell_and_die(value):
        print(value, flush=True)
        os._exit(3)

    @ops.operation("add-another")
    def add_another(value):
        with qm.Client() as client:
            return client.add("echo", value)

    @ops.operation("until")
    def until(path, started):
        Path(started).touch()
        while not Path(path).exists():
            time.sleep(0.01)
        return "done"
"""


@pytest.fixture(autouse=True)
def operations(pools: Pools) -> None:
    pools.write("my_ops", OPERATIONS)


def client_of(manager: Manager, *keys: str) -> Client:
    return Client(("127.0.0.1", manager.port), KEY, payload_keys=keys)


@pytest.fixture
def sealing(manager: Manager) -> Iterator[Client]:
    with client_of(manager, NEW) as client:
        yield client


def test_what_a_task_gets_gives_says_and_dies_with_is_nowhere_in_the_store(
    sealing: Client, pools: Pools, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QM_PAYLOAD_KEYS", NEW)
    pools.start()
    done, fails = sealing.add("echo", SECRET), sealing.add("tell-and-fail", SECRET, attempts=1)
    dies, adds = sealing.add("tell-and-die", SECRET), sealing.add("add-another", SECRET)
    ids = [done, fails, dies, adds]
    tasks = sealing.get_many(ids, wait=30)
    assert [task.state for task in tasks] == [State.DONE, State.FAILED, State.FAILED, State.DONE]
    assert tasks[0].output == SECRET
    assert str(tasks[1].error) == f"ValueError: {SECRET}"
    assert [sealing.attempts(id_)[-1].log for id_ in (fails, dies)] == [SECRET + "\n"] * 2
    assert sealing.result(str(tasks[3].output), wait=30) == SECRET, "an operation's own client seals, too"
    for file in pools.folder.glob("queue.db*"):
        assert SECRET.encode() not in file.read_bytes()


def test_keys_change_while_tasks_are_in_flight(
    manager: Manager, pools: Pools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, started = tmp_path / "go", tmp_path / "started"
    file = tmp_path / "keys"
    file.touch(0o600)
    file.write_text(OLD)
    monkeypatch.setenv("QM_PAYLOAD_KEYS_FILE", str(file))
    before = pools.start()
    with client_of(manager, OLD) as old, client_of(manager, NEW, OLD) as both:
        running = old.add("until", [str(go), str(started)])
        eventually(started.exists)
        waiting = old.add_many(new_task("echo", n) for n in range(50))
        file.write_text(f"{NEW}\n{OLD}\n")
        pools.start()
        waiting += both.add_many(new_task("echo", n) for n in range(50, 100))
        assert [task.output for task in both.get_many(waiting, wait=30)] == [*range(100)]
        before.terminate()  # it runs the old key's last task to its end
        go.touch()
        assert both.result(running, wait=30) == "done"
        assert before.wait(20) == 0
        file.write_text(NEW)
        pools.start()
        with client_of(manager, NEW) as new:
            assert new.result(new.add("echo", "new"), wait=30) == "new"


def test_a_pool_without_the_key_leaves_the_tasks_to_one_that_has_it(
    sealing: Client, pools: Pools, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = sealing.add_many(new_task("echo", n) for n in range(20))
    blind = pools.start()
    eventually(lambda: any(task.failures for task in sealing.get_many(ids)))
    monkeypatch.setenv("QM_PAYLOAD_KEYS", NEW)
    pools.start()
    eventually(lambda: sealing.status().states[State.WAITING] == 0)
    blind.terminate()
    tasks = sealing.get_many(ids)
    failed = [task for task in tasks if task.failures]
    assert 0 < len(failed) < 10, "one a second at most"
    assert {task.state for task in failed} <= {State.SCHEDULED, State.RUNNING, State.DONE}
    assert {task.state for task in tasks if not task.failures} <= {State.DONE, State.RUNNING}
    error = sealing.attempts(failed[0].id)[0].error
    assert error is not None and "no key here opens it" in error.message
    assert "could not be opened" in output_of(blind)


class Programs:
    """qmanager with its page, and qmworker, each with an environment of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ready = folder / "ready"
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self, program: str, *words: str, **environment: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", f"qm.cli.{program}", *words],
            env=os.environ | {"QM_HOME": str(self._folder)} | environment,
            start_new_session=True,
        )
        self._running.append(process)
        return process

    def manager(self, **environment: str) -> subprocess.Popen[bytes]:
        words = ["--rpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--ready-file", str(self._ready)]
        process = self.start("qmanager", *words, **environment)
        eventually(lambda: self._ready.exists() or process.poll() is not None, 30)
        assert process.poll() is None
        return process

    def where(self, name: str) -> str:
        return dict(line.split() for line in self._ready.read_text().splitlines())[name]

    def client(self, *keys: str) -> Client:
        key = read_key(self._folder / "authkey")
        return Client(parse_address(self.where("rpc"), 0), key, payload_keys=keys)

    def end(self) -> None:
        for process in self._running:
            process.terminate()
            process.wait(30)


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Programs]:
    folder = tmp_path / "programs"
    folder.mkdir(0o700)
    programs = Programs(folder)
    yield programs
    programs.end()


def test_the_manager_and_its_page_need_no_key_and_get_none(programs: Programs, tmp_path: Path) -> None:
    manager = programs.manager(QM_PAYLOAD_KEYS="it would not start, if it looked")
    keys = tmp_path / "payload-keys"
    keys.touch(0o600)
    keys.write_text(NEW)
    programs.start("qmworker", "--rpc", programs.where("rpc"), QM_PAYLOAD_KEYS_FILE=str(keys))
    with programs.client(NEW) as client:
        assert client.result(client.add("reverse", SECRET), wait=30) == SECRET[::-1]
    request = urllib.request.Request(f"http://{programs.where('http')}/", headers={"User-Agent": "curl/8"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        page = answer.read().decode()
    assert "sealed (" in page and SECRET not in page and SECRET[::-1] not in page
    children = Path(f"/proc/{manager.pid}/task/{manager.pid}/children").read_text().split()
    assert children
    for child in children:
        assert b"QM_PAYLOAD" not in Path(f"/proc/{child}/environ").read_bytes()
