"""scripts/demo and scripts/run against programs that only say when they start and stop."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"

#: A program that serves until it is asked to end. `$EVENTS` and `$PIDS` are files.
SERVES = """#!/bin/sh
name=${0##*/}
echo $$ >>"$PIDS"
echo "$name says hello" >&2
trap 'echo "$name stopped" >>"$EVENTS"; exit 0' INT TERM
echo "$name started QM_RPC=$QM_RPC" >>"$EVENTS"
while [ $# -gt 0 ]; do
    [ "$1" != --ready-file ] || printf 'rpc 127.0.0.1:1234\\nhttp 127.0.0.1:5678\\n' >"$2"
    shift
done
while :; do sleep 0.02; done
"""

#: A program that ends with a code of its own; the simulator does so when there is a worker, as the real one.
ENDS = """#!/bin/sh
echo $$ >>"$PIDS"
[ "${0##*/}" != qmsimulator ] || until grep -q "qmworker started" "$EVENTS"; do sleep 0.02; done
echo "${0##*/} $*" >>"$EVENTS"
echo "the last words of ${0##*/}" >&2
exit %d
"""


class Stage:
    """A folder of fake programs and the scripts that run them."""

    def __init__(self, path: Path) -> None:
        self.bin = path / "bin with a space"
        self.tmp = path / "tmp"
        self.events = path / "events"
        self.pids = path / "pids"
        self.bin.mkdir()
        self.tmp.mkdir()
        self.events.touch()
        self.pids.touch()

    def program(self, name: str, text: str) -> None:
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def start(self, script: str, **env: str) -> subprocess.Popen[str]:
        own = {"BIN": self.bin, "TMPDIR": self.tmp, "EVENTS": self.events, "PIDS": self.pids}
        return subprocess.Popen(
            [SCRIPTS / script],
            env=os.environ | {name: str(value) for name, value in own.items()} | env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def said(self) -> list[str]:
        return self.events.read_text().splitlines()

    def running(self) -> list[int]:
        return [pid for pid in map(int, self.pids.read_text().split()) if Path(f"/proc/{pid}").exists()]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    stage.program("qmanager", SERVES)
    stage.program("qmworker", SERVES)
    yield stage
    for pid in stage.running():
        os.kill(pid, signal.SIGKILL)


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "it did not happen within 30 s"
        time.sleep(0.02)


@pytest.mark.parametrize("code", [0, 1, 3])
def test_the_demo_ends_with_the_simulators_code_and_stops_what_it_started(stage: Stage, code: int) -> None:
    stage.program("qmsimulator", ENDS % code)
    demo = stage.start("demo", COUNT="7", QM_STORE="sqlite:mine.db", QM_RPC="192.0.2.1:1")
    output, _ = demo.communicate(timeout=60)
    assert demo.returncode == code, output
    assert stage.said() == [
        "qmanager started QM_RPC=",
        "qmworker started QM_RPC=127.0.0.1:1234",
        "qmsimulator --count 7 --producers 2 --delay 0 --audit --no-workers --encoder-cost 6",
        "qmworker stopped",
        "qmanager stopped",
    ]
    assert stage.running() == []
    assert bool(list(stage.tmp.iterdir())) == (code != 0), "the logs are kept after a failure, and only then"


@pytest.mark.parametrize("program", ["qmanager", "qmworker"])
def test_a_program_that_dies_ends_the_demo_with_its_last_words(stage: Stage, program: str) -> None:
    stage.program("qmsimulator", SERVES)
    stage.program(program, ENDS % 0)
    demo = stage.start("demo")
    output, _ = demo.communicate(timeout=60)
    assert demo.returncode == 1
    assert f"the last words of {program}" in output
    assert stage.running() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_demo_that_is_interrupted_leaves_nothing_behind(stage: Stage, number: signal.Signals) -> None:
    stage.program("qmsimulator", SERVES)
    demo = stage.start("demo")
    until(lambda: "qmsimulator started QM_RPC=127.0.0.1:1234" in stage.said())
    os.killpg(demo.pid, number)
    demo.communicate(timeout=60)
    assert demo.returncode == 128 + number
    assert stage.said()[-3:] == ["qmsimulator stopped", "qmworker stopped", "qmanager stopped"]
    assert stage.running() == []
    assert list(stage.tmp.iterdir()) == []


def test_ctrl_c_stops_the_workers_before_the_manager(stage: Stage) -> None:
    run = stage.start("run")
    until(lambda: "qmworker started QM_RPC=127.0.0.1:1234" in stage.said())
    os.killpg(run.pid, signal.SIGINT)
    run.communicate(timeout=60)
    assert run.returncode == 0
    assert stage.said()[-2:] == ["qmworker stopped", "qmanager stopped"]
    assert stage.running() == []
    assert list(stage.tmp.iterdir()) == []


@pytest.mark.parametrize("program", ["qmanager", "qmworker"])
def test_a_run_fails_when_one_of_its_programs_ends(stage: Stage, program: str) -> None:
    stage.program(program, ENDS % 5)
    run = stage.start("run")
    output, _ = run.communicate(timeout=60)
    assert run.returncode != 0
    assert program in output
    assert stage.running() == []
