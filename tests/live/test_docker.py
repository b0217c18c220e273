"""What the image would have in it, installed as the Dockerfile says and run by its entry point.

Not run here, for want of an engine: the FROM lines, the packages and the user of the last stage, and Docker.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dockerfile import Root, StepFailed, environment, exec_form, stages
from tests.wants import want

# One group: with pytest-xdist it is then installed once, not once per process.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("live-docker")]

ROOT = Path(__file__).parents[2]
BUILD, LAST = stages((ROOT / "Dockerfile").read_text())
ENTRYPOINT = ROOT / "scripts" / "docker-entrypoint"
FREE = "127.0.0.1:0"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the image has in /opt/qmanager: from a package index, as the first stage says."""
    folder = tmp_path_factory.mktemp("image")
    python = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": ""}
    try:
        Root(folder, ROOT).do(BUILD, python)
    except StepFailed as failed:
        want("(from versions: none)" not in str(failed), "a package index")  # what pip says without a network
        raise
    return folder


class Container:
    """Programs of the image, started by its entry point."""

    def __init__(self, image: Path, folder: Path) -> None:
        for name in ("home", "key"):
            (folder / name).mkdir(mode=0o700)
        self.folder = folder
        self.bin = image / "opt" / "qmanager" / "bin"
        self.env = {
            **environment(LAST),
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "QM_HOME": f"{folder}/home",
            "QM_AUTHKEY_FILE": f"{folder}/key/authkey",
            "QM_TLS_CA": f"{folder}/key/tls.crt",
            "QM_RPC": FREE,
            "QM_HTTP": FREE,
        }
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        self._started.append(subprocess.Popen([ENTRYPOINT, *words], env=self.env, cwd=self.folder))
        return self._started[-1]

    def run(self, *words: str) -> str:
        done = subprocess.run(
            [ENTRYPOINT, *words], env=self.env, cwd=self.folder, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def is_healthy(self) -> bool:
        (check,) = exec_form(LAST, "HEALTHCHECK")
        return subprocess.run([ROOT / "scripts" / check], env=self.env, timeout=30).returncode == 0

    def start_manager(self) -> None:
        manager = self.start()
        deadline = time.monotonic() + 30
        while not self.is_healthy():
            assert manager.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
        self.env["QM_RPC"] = (self.folder / "home" / "ready").read_text().split()[1]

    def stop(self) -> None:
        for program in reversed(self._started):
            program.terminate()
            assert program.wait(40) == 0


@pytest.fixture
def container(image: Path, tmp_path: Path) -> Iterator[Container]:
    container = Container(image, tmp_path)
    yield container
    container.stop()


def test_the_image_has_the_four_programs_on_its_path(container: Container) -> None:
    for program in ("qmanager", "qmworker", "qmclient", "qmsimulator"):
        assert container.run(program, "--version").startswith(program)
    where = container.run("python", "-c", "import qm; print(qm.__file__)")
    assert where.startswith(str(container.bin.parent))


@pytest.mark.parametrize(("page", "tls"), [("off", "off"), ("off", "on"), (FREE, "on")])
def test_a_manager_and_a_worker_of_the_image_run_a_task(container: Container, page: str, tls: str) -> None:
    container.env |= {"QM_TLS": tls, "QM_HTTP": page}
    assert not container.is_healthy(), "before it serves"
    container.start_manager()
    container.start("qmworker", "--processes", "1")
    said = container.run("qmclient", "add", "--type", "fibonacci", "--input", "15", "--wait", "30")
    assert said.split()[-1] == "610"
    shared = {path.name for path in (container.folder / "key").iterdir()}
    assert shared == ({"authkey", "tls.crt"} if tls == "on" else {"authkey"})
