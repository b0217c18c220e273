"""What the README shows, done as it says."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.xdist_group("live-readme")

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")


def block(marker: str, language: str = "python") -> str:
    """The code block of the README that has `marker` in it."""
    blocks = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    found = [text for text in blocks if marker in text]
    assert len(found) == 1, f"{len(found)} blocks with {marker!r}"
    return str(found[0])


class Setting:
    """A home, a manager in it, and a way to run programs there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            **os.environ,
            "HOME": str(folder),
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        }
        self._programs: list[subprocess.Popen[str]] = []

    def start(self, program: str, *options: str) -> None:
        command = [sys.executable, "-m", f"qm.cli.{program}", *options]
        self._programs.append(subprocess.Popen(command, cwd=self.folder, env=self.environment, text=True))

    def start_manager(self) -> None:
        ready = self.folder / "ready"
        self.start("qmanager", "--rpc", "127.0.0.1:0", "--http", "off", "--ready-file", str(ready))
        deadline = time.monotonic() + 20
        while not ready.exists():
            assert time.monotonic() < deadline and self._programs[0].poll() is None
            time.sleep(0.05)
        self.environment["QM_RPC"] = ready.read_text().split()[1]

    def python(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def stop(self) -> None:
        for program in reversed(self._programs):
            program.terminate()
            assert program.wait(40) == 0


@pytest.fixture
def setting(tmp_path: Path) -> Iterator[Setting]:
    setting = Setting(tmp_path)
    setting.start_manager()
    yield setting
    setting.stop()


def test_the_own_operation_works_as_shown(setting: Setting) -> None:
    (setting.folder / "mail.py").write_text(block("mail.send"), "utf-8")
    setting.start("qmworker", "--load", "mail", "--processes", "1")
    line = re.search(r"^\$ (qmclient add --type mail.send .*)$", README, re.MULTILINE)
    assert line is not None
    output = setting.python(
        "-m", *[f"qm.cli.{word}" if word == "qmclient" else word for word in shlex.split(line[1])]
    )
    assert "sent 'hi' to ana@example.org" in output


def test_adding_and_getting_from_python_works_as_shown(setting: Setting) -> None:
    setting.start("qmworker", "--processes", "2")
    output = setting.python("-c", block("client.add_many"))
    assert output.splitlines() == ["610", "['cba', 'žšč']"]


def test_the_shared_objects_are_reached_by_plain_proxies_as_shown(setting: Setting) -> None:
    code = block("remote.queue()").replace("8090", setting.environment["QM_RPC"].rpartition(":")[2])
    lines = setting.python("-c", code).splitlines()
    assert lines == ["0 0 0", *["0 []"] * 3]
