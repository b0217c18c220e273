"""qmanager, a pool and clients over PostgreSQL, as they are started by hand; and the server crashes
meanwhile."""

from __future__ import annotations

import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.postgres import Cluster, find, own_cluster

pytestmark = [pytest.mark.live, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
MANAGERS = ROOT / "tests" / "simulator" / "chaos" / "managers"


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    cluster = own_cluster()
    yield cluster
    cluster.stop()


def start(program: str, home: Path, *words: str) -> subprocess.Popen[str]:
    """One of our programs."""
    return run(home, "-m", f"qm.cli.{program}", *words)


def run(home: Path, *words: str) -> subprocess.Popen[str]:
    """Python itself."""
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "QM_HOME": str(home)}
    return subprocess.Popen(
        [sys.executable, *words],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


@contextmanager
def served(url: str, home: Path, http: str = "off") -> Iterator[dict[str, str]]:
    """A manager over the database at `url`: where it serves rpc and http. It must end well and in order."""
    ready = home / "ready"
    words = ("--store", url, "--rpc", "127.0.0.1:0", "--http", http, "--ready-file", str(ready))
    manager = start("qmanager", home, *words)
    try:
        while not ready.exists():
            assert manager.poll() is None, manager.communicate()[0]
            time.sleep(0.05)
        yield dict(line.split() for line in ready.read_text().splitlines())
    finally:
        manager.terminate()
        said = manager.communicate(timeout=30)[0]
    assert manager.returncode == 0, said
    assert "Traceback" not in said


def test_a_server_that_crashes_under_load_costs_time_and_no_task(cluster: Cluster, tmp_path: Path) -> None:
    with cluster.database() as url, served(url, tmp_path) as places:
        load = ("--count", "1500", "--delay", "0", "--encoder-cost", "4", "--audit", "--rpc", places["rpc"])
        simulator = start("qmsimulator", tmp_path, *load)
        for _ in range(2):
            time.sleep(1)
            cluster.stop()
            cluster.start()
        said = simulator.communicate(timeout=100)[0]
    assert simulator.returncode == 0, said
    assert "audit: sent 1500, done 1500, lost 0, finished twice 0" in said


def crash_command(cluster: Cluster) -> str:
    """Kills one of the server's processes: it ends all others, recovers, and serves again."""
    (cluster.folder / "crash").write_text(
        f"""set -eu
read -r server <{cluster.folder}/data/postmaster.pid
kill -KILL "$(cut -d ' ' -f 1 "/proc/$server/task/$server/children")"
sleep 0.2
until {find("pg_isready")} -q -h 127.0.0.1 -p {cluster.port}; do sleep 0.1; done
"""
    )
    return f"sh {cluster.folder}/crash"


def test_three_managers_of_one_database_lose_nothing_whatever_is_killed(
    cluster: Cluster, tmp_path: Path
) -> None:
    """The short chaos run, over PostgreSQL. Managers have a term of 3 s, and one is stopped for longer."""
    files = (str(MANAGERS / "simulate.py"), str(MANAGERS / "sharing.py"))
    with cluster.database() as url:
        words = ("--chaos", "--duration", "12", "--kills", "3", "--managers", "3", "--store", url)
        chaos = run(tmp_path, *files, *words, "--database-crash", crash_command(cluster))
        said = chaos.communicate(timeout=110)[0]
    assert chaos.returncode == 0, said
    assert "lost 0, finished twice 0" in said
    figures = dict(re.findall(r"^  (\w[\w ]*\w) +([\d,]+)", said, re.MULTILINE))
    assert int(figures["claims"].replace(",", "")) > 50, "there was no load"
    assert figures["claimed twice"] == "0"
    assert figures["manager killed"] == "3"
    assert figures["manager stopped over its term"] == figures["database crashed"] == "1"


def test_readiness_falls_with_the_database_and_returns(cluster: Cluster, tmp_path: Path) -> None:
    with cluster.database() as url, served(url, tmp_path, "127.0.0.1:0") as places:
        page = f"http://{places['http']}/readyz"
        _wait_for(page, 200)
        cluster.stop()
        _wait_for(page, 503)
        cluster.start()
        _wait_for(page, 200)


def _wait_for(page: str, code: int) -> None:
    for _ in range(300):
        try:
            with urllib.request.urlopen(page, timeout=10) as answer:
                found = answer.status
        except urllib.error.HTTPError as error:
            found = error.code
        if found == code:
            return
        time.sleep(0.1)
    raise AssertionError(f"{page} says {found}")
