"""The wheel: all of qm is in it, and it runs where there is no checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from qm.version import __version__

ROOT = Path(__file__).parents[1]

# One group: with pytest-xdist the wheel is then built once, not once per process.
pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.xdist_group("wheel")]


def _run(*command: object, cwd: Path, **env: object) -> str:
    """Runs `command` and returns what it printed; on failure that is the test's message."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=os.environ | {name: str(value) for name, value in env.items()},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a copy, since a build leaves its traces beside the sources."""
    source = tmp_path_factory.mktemp("source")
    shutil.copytree(ROOT / "qm", source / "qm", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    offline = ("--no-build-isolation", "--no-index", "--no-deps")
    _run(sys.executable, "-m", "pip", "wheel", "--quiet", *offline, "--wheel-dir", "out", ".", cwd=source)
    (built,) = (source / "out").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of a fresh environment with the wheel in it; its dependencies are lent from this one."""
    home = tmp_path_factory.mktemp("a place with spaces") / "venv"
    venv.create(home, symlinks=True)
    python = home / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-index", "--no-deps")
    _run(*pip, wheel, cwd=home)
    (site,) = home.glob("lib/python*/site-packages")
    # A folder named in a .pth file has its own .pth files ignored: the link to the checkout is not lent.
    (site / "lent.pth").write_text(
        "\n".join(sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}))
    )
    return home / "bin"


def test_the_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    names = {path.relative_to(ROOT).as_posix() for path in (ROOT / "qm").rglob("*") if path.is_file()}
    wanted = {name for name in names if "__pycache__" not in name}
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.startswith("qm/")}
    assert packed == wanted
    assert "qm/py.typed" in packed
    assert any(name.endswith(".sql") for name in packed)


def test_the_programs_of_the_wheel_come_from_the_wheel(programs: Path, tmp_path: Path) -> None:
    where = _run(programs / "python", "-c", "import qm; print(qm.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(programs.parent)
    for program in ("qmanager", "qmclient", "qmworker", "qmsimulator"):
        assert __version__ in _run(programs / program, "--version", cwd=tmp_path)


def test_the_wheel_runs_a_task_from_add_to_result(programs: Path, tmp_path: Path) -> None:
    """scripts/demo with the wheel's programs: store, wire, workers and page, and the audit over all."""
    said = _run(ROOT / "scripts" / "demo", cwd=tmp_path, BIN=programs, COUNT=20, TMPDIR=tmp_path)
    assert "audit: sent 20, done 20, lost 0, finished twice 0" in said
