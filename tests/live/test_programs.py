"""The programs as processes: how they start, stop, die and come back."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import stat
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qm.client import Client
from qm.messages import Got
from qm.task import State
from qm.wire.address import parse_address
from qm.wire.keys import read_key
from qm.wire.remote import Remote

pytestmark = pytest.mark.xdist_group("live-programs")


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "it did not happen within 30 s"
        time.sleep(0.02)


class Stage:
    """A QM_HOME, and the programs on it."""

    def __init__(self, path: Path) -> None:
        self.home = path / "home"
        self.ready = path / "ready"
        self.log = path / "log"
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, program: str, *words: str, mask: int = 0o022) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", f"qm.cli.{program}", *words],
                env=os.environ | {"QM_HOME": str(self.home)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                umask=mask,
                start_new_session=True,
            )
        self._started.append(process)
        return process

    def manager(self, *words: str, http: str = "off", mask: int = 0o022) -> subprocess.Popen[bytes]:
        """A manager that serves."""
        self.ready.unlink(missing_ok=True)
        place = ["--rpc", "127.0.0.1:0", "--http", http, "--ready-file", str(self.ready)]
        process = self.start("qmanager", *place, *words, mask=mask)
        until(lambda: self.ready.exists() or process.poll() is not None)
        assert process.poll() is None, self.log.read_text()
        return process

    def address(self, name: str = "rpc") -> str:
        lines = dict(line.split() for line in self.ready.read_text().splitlines())
        return lines[name]

    def client(self) -> Client:
        return Client(self.address(), read_key(self.home / "authkey"))

    def call(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Runs qmclient to its end."""
        return subprocess.run(
            [sys.executable, "-m", "qm.cli.qmclient", *words],
            env=os.environ | {"QM_HOME": str(self.home), "QM_RPC": self.address()},
            capture_output=True,
            text=True,
            timeout=60,
        )

    def end(self) -> None:
        for process in self._started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    stage.end()


def ended(process: subprocess.Popen[bytes], number: signal.Signals) -> int:
    process.send_signal(number)
    return process.wait(timeout=30)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_whatever_ends_the_manager_every_task_is_there_again(stage: Stage, number: signal.Signals) -> None:
    manager = stage.manager()
    with stage.client() as client:
        for place in range(20):
            client.add("mail", place, id=f"t-{place}", delay=60 if place % 2 else 0)
        client.cancel("t-0")
    code = ended(manager, number)
    assert code == (-signal.SIGKILL if number is signal.SIGKILL else 0)
    stage.manager()
    with stage.client() as client:
        tasks = {task.id: task for task in client.list().tasks}
        assert {id_: task.input for id_, task in tasks.items()} == {
            f"t-{place}": place for place in range(20)
        }
        assert tasks["t-0"].state is State.CANCELLED
        assert client.status().states[State.SCHEDULED] == 10
        assert client.status().wait == 19


def test_a_second_manager_is_refused_and_names_the_first(stage: Stage) -> None:
    first = stage.manager()
    second = stage.start("qmanager", "--rpc", "127.0.0.1:0", "--http", "off")
    assert second.wait(timeout=30) == 1
    assert f"another qmanager (pid {first.pid}) has the store {stage.home}/queue.db" in stage.log.read_text()
    assert stage.call("status").returncode == 0


def test_a_call_under_way_is_answered_when_the_manager_stops(stage: Stage) -> None:
    manager = stage.manager()
    with stage.client() as client:
        client.add("mail", 1, id="waits")
    remote = Remote(parse_address(stage.address(), 0), read_key(stage.home / "authkey"))
    answers: list[Got] = []
    call = threading.Thread(target=lambda: answers.append(remote.queue().get(["waits"], 25)))
    call.start()
    time.sleep(0.3)  # long enough for the call to be under way; if it is not, it is answered all the same
    started = time.monotonic()
    assert ended(manager, signal.SIGTERM) == 0
    call.join(timeout=30)
    assert time.monotonic() - started < 10, "nobody waits for what can be answered now"
    assert [task.id for task in answers[0].tasks] == ["waits"]
    remote.close()
    assert not stage.ready.exists()


def test_what_it_makes_is_its_users_alone_whatever_the_umask(stage: Stage) -> None:
    manager = stage.manager(http="127.0.0.1:0", mask=0)
    with stage.client() as client:
        client.add("mail", 1)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in stage.home.rglob("*")}
    assert {"authkey", "queue.db", "queue.db-wal", "queue.db-shm", "queue.db.lock"} <= set(modes)
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(stage.home.stat().st_mode) == 0o700
    assert stat.S_IMODE(stage.ready.stat().st_mode) == 0o600
    assert ended(manager, signal.SIGTERM) == 0


def test_the_key_is_on_no_command_line_and_in_no_log(stage: Stage) -> None:
    manager = stage.manager("--log-level", "debug", http="127.0.0.1:0")
    key = (stage.home / "authkey").read_bytes().strip()
    family = [
        manager.pid,
        *map(int, Path(f"/proc/{manager.pid}/task/{manager.pid}/children").read_text().split()),
    ]
    assert len(family) > 1
    for pid in family:
        for name in ("cmdline", "environ"):
            assert key not in Path(f"/proc/{pid}/{name}").read_bytes()
    assert ended(manager, signal.SIGTERM) == 0
    assert key not in stage.log.read_bytes()


@pytest.mark.parametrize("flag", ["--rpc", "--http"])
def test_an_address_that_others_reach_is_refused_before_anything_is_made(stage: Stage, flag: str) -> None:
    manager = stage.start("qmanager", flag, "0.0.0.0:0")
    assert manager.wait(timeout=30) == 2
    assert "qmanager: will not listen on 0.0.0.0:0: without TLS" in stage.log.read_text()
    assert not stage.home.exists()


def test_an_address_that_others_reach_can_be_insisted_on(stage: Stage) -> None:
    manager = stage.start(
        "qmanager", "--rpc", "0.0.0.0:0", "--http", "off", "--insecure-bind", "--ready-file", str(stage.ready)
    )
    until(stage.ready.exists)
    assert stage.address().startswith("0.0.0.0:")
    assert stage.call("status").returncode == 0
    assert ended(manager, signal.SIGTERM) == 0


def page(stage: Stage) -> str:
    with urllib.request.urlopen(f"http://{stage.address('http')}/", timeout=10) as answer:
        text: bytes = answer.read()
    return text.decode()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def web_of(manager: subprocess.Popen[bytes]) -> list[int]:
    children = Path(f"/proc/{manager.pid}/task/{manager.pid}/children")
    return [int(pid) for pid in children.read_text().split() if alive(int(pid))]


def test_the_page_is_served_by_a_process_of_its_own_that_comes_back(stage: Stage) -> None:
    manager = stage.manager(http="127.0.0.1:0")
    assert "Wait" in page(stage)
    (first,) = web_of(manager)
    os.kill(first, signal.SIGKILL)
    until(lambda: web_of(manager) not in ([], [first]))

    def served() -> bool:
        try:
            return "Wait" in page(stage)
        except OSError:
            return False

    until(served)
    (second,) = web_of(manager)
    assert stage.call("status").returncode == 0
    assert ended(manager, signal.SIGTERM) == 0
    assert not alive(second)


def test_the_page_dies_with_the_manager(stage: Stage) -> None:
    manager = stage.manager(http="127.0.0.1:0")
    (web,) = web_of(manager)
    assert ended(manager, signal.SIGKILL) == -signal.SIGKILL
    until(lambda: not alive(web))


def test_a_taken_page_port_is_named_and_nothing_is_left_running(stage: Stage) -> None:
    stage.manager(http="127.0.0.1:0")
    taken = stage.address("http")
    second = stage.start("qmanager", "--rpc", "127.0.0.1:0", "--store", "memory:", "--http", taken)
    assert second.wait(timeout=30) == 1
    last, hint = stage.log.read_text().splitlines()[-2:]
    assert last.startswith("qmanager: ") and taken.rpartition(":")[2] in last
    assert hint.startswith("hint: ") and "--http" in hint


def test_a_task_goes_from_add_to_its_result(stage: Stage) -> None:
    stage.manager()
    worker = stage.start(
        "qmworker", "-type", "fibonacci", "-type", "arithmetic", "--processes", "1", "-rpc", stage.address()
    )
    added = stage.call("add", "-type", "fibonacci", "-input", "20", "--wait", "30")
    assert (added.returncode, added.stdout) == (0, "6765\n"), added.stderr
    id_ = stage.call("add", "--type", "arithmetic", "--input", "( ( 55 + 5 ) + ( 2 * 5 ) )").stdout.strip()
    assert stage.call("get", "-id", id_, "--wait", "30").stdout == "70\n"
    failed = stage.call("add", "--type", "arithmetic", "--input", "1 / 0", "--wait", "30")
    assert (failed.returncode, failed.stdout) == (5, "")
    assert "division by zero" in failed.stderr
    assert stage.call("add", "--type", "reverse").stderr == (
        'hint: no worker serves "reverse" now; start one with: qmworker (--load MODULE if it is yours)\n'
    )
    assert ended(worker, signal.SIGTERM) == 0
    assert stage.call("list", "--state", "done", "-o", "id").stdout.split()[0] == id_


def test_the_output_can_be_cut_short(stage: Stage) -> None:
    stage.manager()
    with stage.client() as client:
        client.add("mail", "x" * 3000, id="one")
        for _ in range(60):
            client.add("mail", "x" * 3000)
    lister = f"{shlex.quote(sys.executable)} -m qm.cli.qmclient list --limit 0"
    done = subprocess.run(
        ["bash", "-c", f"{lister} | head -c 3; echo ${{PIPESTATUS[0]}}"],
        env=os.environ | {"QM_HOME": str(stage.home), "QM_RPC": stage.address()},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("one1\n", "")


def test_ctrl_c_ends_a_wait_quietly_and_names_the_task(stage: Stage) -> None:
    stage.manager()
    waiting = stage.start(
        "qmclient", "add", "--type", "mail", "--id", "t-1", "--wait", "60", "--rpc", stage.address()
    )
    with stage.client() as client:
        until(lambda: client.get_many(["t-1"]) != [])
        time.sleep(0.2)  # so that it waits for the result, and no longer for the answer to its add
    assert ended(waiting, signal.SIGINT) == 130
    said = stage.log.read_text()
    assert "hint: the task was added; its result: qmclient get --id t-1 --wait 60" in said
    assert "Traceback" not in said
