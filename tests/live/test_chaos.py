"""The short chaos run that every change has to pass, and the mutants that its oracle must see through.

Sessions have a term of 3 s here, so that one can be stopped for longer.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from qm.client import Client
from qm.errors import LeaseLost
from qm.ids import new_id
from qm.messages import Crash, Slot, Taken, TypeOptions, WorkerInfo
from qm.simulator.chaos import Findings, judge
from qm.simulator.chaos.digest import digest
from qm.simulator.chaos.journal import Added, Adding, Computed, Journal, read_journals
from qm.simulator.chaos.programs import Manager
from qm.simulator.chaos.proxy import Proxy
from qm.simulator.chaos.reading import attempted, read_all
from qm.wire.keys import read_key

pytestmark = pytest.mark.live

ROOT = Path(__file__).parents[2]
MANAGERS = ROOT / "tests" / "simulator" / "chaos" / "managers"

#: The line of the audit: the numbers that must be 0, and the verdict.
AUDIT = re.compile(
    r"audit: attempted \d+, acked (\d+), lost (\d+), finished twice (\d+), unexpected (\d+), recovered \d+, "
    r"parked \d+, still queued (\d+): (passed|FAILED)"
)


def start(manager: str, home: Path, *words: str) -> subprocess.Popen[str]:
    """A chaos run against the manager of that name, in a group of its own."""
    files = [str(MANAGERS / "simulate.py"), str(MANAGERS / f"{manager}.py")]
    return subprocess.Popen(
        [sys.executable, *files, "--chaos", *words],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "TMPDIR": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def simulate(manager: str, home: Path, *words: str) -> tuple[int, str]:
    """Its exit code and what it says."""
    simulator = start(manager, home, *words)
    try:
        output, _ = simulator.communicate(timeout=110)
    finally:
        simulator.kill()
    return simulator.returncode, output


def audit(output: str) -> tuple[list[int], str]:
    """acked, lost, finished twice, unexpected, still queued; and the verdict."""
    found = AUDIT.fullmatch(output.splitlines()[-1])
    assert found, output
    *numbers, verdict = found.groups()
    return [int(number) for number in numbers], verdict


def left(home: Path) -> list[str]:
    """Processes of a run with this folder for its files."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"TMPDIR={home}\0".encode() in (process / "environ").read_bytes():
                found.append(f"{process.name} {(process / 'cmdline').read_bytes()!r}")
        except OSError:  # it ended meanwhile, or is another user's
            continue
    return found


@pytest.mark.slow
def test_nothing_is_lost_and_nothing_finished_twice_whatever_is_killed(tmp_path: Path) -> None:
    code, output = simulate("short_term", tmp_path, "--duration", "12", "--kills", "5")
    numbers, verdict = audit(output)
    assert (code, numbers[1:], verdict) == (0, [0, 0, 0, 0], "passed"), output
    assert numbers[0] > 50, "there was no load"
    done = dict(re.findall(r"^  (\w[\w ]*\w) +(\d+)$", output, re.MULTILINE))
    assert done["manager killed"] == "5"
    assert int(done["child killed"]) + int(done["pool killed"]) > 0
    assert left(tmp_path) == []
    assert list(tmp_path.iterdir()) == [], "a run that passed leaves no logs"


@pytest.mark.slow
def test_a_manager_that_answers_before_it_commits_is_caught(tmp_path: Path) -> None:
    code, output = simulate("ack_before_commit", tmp_path, "--duration", "5", "--kills", "5")
    (_, lost, twice, _, _), verdict = audit(output)
    assert (code, verdict) == (1, "FAILED")
    assert lost + twice > 0, output
    (folder,) = tmp_path.iterdir()
    assert f"the logs are kept in {folder}" in output
    assert left(tmp_path) == []


def test_ctrl_c_ends_a_run_and_leaves_nothing_behind(tmp_path: Path) -> None:
    simulator = start("short_term", tmp_path, "--duration", "60", "--kills", "0")
    try:
        deadline = time.monotonic() + 30
        while sum("spawn_main" in line for line in left(tmp_path)) < 2:  # the producers come last
            assert time.monotonic() < deadline and simulator.poll() is None
            time.sleep(0.05)
        os.killpg(simulator.pid, signal.SIGINT)
        output, _ = simulator.communicate(timeout=30)
    finally:
        simulator.kill()
        simulator.communicate()
    assert simulator.returncode == 130, output
    assert "Traceback" not in output
    assert left(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    (tmp_path / "journals").mkdir()
    return Journal(tmp_path / "journals", "test")


class Zombie:
    """Two workers, of which the first is believed to be dead and says its result all the same."""

    def __init__(self, folder: Path, journal: Journal, manager: str) -> None:
        self._folder = folder
        self._journal = journal
        command = (sys.executable, str(MANAGERS / f"{manager}.py"))
        self._manager = Manager(folder, command, f"sqlite:{folder / 'queue.db'}", "full")
        self._proxy = Proxy(journal)

    def __enter__(self) -> Zombie:
        self._proxy.start()
        self._manager.start()
        deadline = time.monotonic() + 30
        while (address := self._manager.address()) is None:
            assert time.monotonic() < deadline and self._manager.code is None
            time.sleep(0.05)
        self._proxy.manager = address
        self.client = Client(self._proxy.address, read_key(self._folder / "authkey"))
        return self

    def __exit__(self, *error: object) -> None:
        self.client.close()
        self._manager.kill()
        self._proxy.stop()

    def play(self) -> Findings:
        """The zombie hands in its result while the second worker runs the task; then that one does."""
        self._journal.write(Adding(["the-task"]))
        self.client.add("chaos", id="the-task")
        self._journal.write(Added(["the-task"]))
        slot, first = self._take()
        self.client.crashed(Crash(slot=slot, exitcode=-9, current=first.lease))
        _, second = self._take()
        for taken in (first, second):
            output = f"of attempt {taken.lease.attempt}"
            self._journal.write(Computed(taken.id, taken.lease.attempt, digest(output)))
            with contextlib.suppress(LeaseLost):  # the oracle knows from the proxy who was refused
                self.client.finish(taken.lease, output)
        read_all(self.client, attempted(read_journals(self._folder / "journals")), self._journal)
        return judge(entry.event for entry in read_journals(self._folder / "journals"))

    def share(self) -> Findings:
        """Both workers ask for a task, and there is only one."""
        self._journal.write(Adding(["the-task"]))
        self.client.add("chaos", id="the-task")
        self._journal.write(Added(["the-task"]))
        _, first = self._take()
        with contextlib.suppress(AssertionError):
            self._take()
        self._journal.write(Computed(first.id, first.lease.attempt, digest("done")))
        self.client.finish(first.lease, "done")
        read_all(self.client, attempted(read_journals(self._folder / "journals")), self._journal)
        return judge(entry.event for entry in read_journals(self._folder / "journals"))

    def _take(self) -> tuple[Slot, Taken]:
        info = WorkerInfo(session=new_id(), host="h", pid=1, processes=1, types={"chaos": TypeOptions()})
        self.client.attach(info)
        slot = Slot(info.session, 0, 0)
        taken = self.client.take(slot, ["chaos"])
        assert taken is not None
        return slot, taken


def test_a_manager_with_its_fence_is_not_blamed(tmp_path: Path, journal: Journal) -> None:
    with Zombie(tmp_path, journal, "short_term") as zombie:
        findings = zombie.play()
    assert findings.holds, findings.complaints
    assert findings.verdicts == {"lost": 1, "accepted": 1}


@pytest.mark.parametrize(("manager", "doubled"), [("short_term", 0), ("two_claims", 1)])
def test_a_manager_that_gives_one_task_to_two_is_caught(
    tmp_path: Path, journal: Journal, manager: str, doubled: int
) -> None:
    with Zombie(tmp_path, journal, manager) as zombie:
        findings = zombie.share()
    assert (findings.claims, findings.doubled, findings.holds) == (1, doubled, not doubled)


def test_a_manager_without_its_fence_is_caught(tmp_path: Path, journal: Journal) -> None:
    with Zombie(tmp_path, journal, "no_fence") as zombie:
        findings = zombie.play()
    assert not findings.holds
    assert findings.twice + findings.unexpected > 0, findings.complaints
