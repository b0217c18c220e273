"""qmanager, a pool and clients over PostgreSQL, as they are started by hand; and the server crashes
meanwhile."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres import Cluster, own_cluster

pytestmark = [pytest.mark.live, pytest.mark.slow]

ROOT = Path(__file__).parents[2]


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    cluster = own_cluster()
    yield cluster
    cluster.stop()


def start(program: str, home: Path, *words: str) -> subprocess.Popen[str]:
    """One of our programs."""
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "QM_HOME": str(home)}
    return subprocess.Popen(
        [sys.executable, "-m", f"qm.cli.{program}", *words],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def test_a_server_that_crashes_under_load_costs_time_and_no_task(cluster: Cluster, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    with cluster.database() as url:
        words = ("--store", url, "--rpc", "127.0.0.1:0", "--http", "off", "--ready-file", str(ready))
        manager = start("qmanager", tmp_path, *words)
        try:
            while not ready.exists():
                assert manager.poll() is None, manager.communicate()[0]
                time.sleep(0.05)
            rpc = ready.read_text().split()[1]
            load = ("--count", "1500", "--delay", "0", "--encoder-cost", "4", "--audit", "--rpc", rpc)
            simulator = start("qmsimulator", tmp_path, *load)
            for _ in range(2):
                time.sleep(1)
                cluster.stop()
                cluster.start()
            said = simulator.communicate(timeout=100)[0]
            assert simulator.returncode == 0, said
            assert "audit: sent 1500, done 1500, lost 0, finished twice 0" in said
        finally:
            manager.terminate()
            said = manager.communicate(timeout=30)[0]
    assert manager.returncode == 0, said


def test_nothing_is_lost_whatever_is_killed(cluster: Cluster, tmp_path: Path) -> None:
    """The short chaos run, over PostgreSQL."""
    with cluster.database() as url:
        chaos = start("qmsimulator", tmp_path, "--chaos", "--duration", "8", "--kills", "2", "--store", url)
        said = chaos.communicate(timeout=110)[0]
    assert chaos.returncode == 0, said
    assert "lost 0, finished twice 0" in said


def test_readiness_falls_with_the_database_and_returns(cluster: Cluster, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    with cluster.database() as url:
        words = ("--store", url, "--rpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--ready-file", str(ready))
        manager = start("qmanager", tmp_path, *words)
        try:
            while not ready.exists():
                assert manager.poll() is None, manager.communicate()[0]
                time.sleep(0.05)
            page = f"http://{ready.read_text().split()[3]}/readyz"
            _wait_for(page, 200)
            cluster.stop()
            _wait_for(page, 503)
            cluster.start()
            _wait_for(page, 200)
        finally:
            manager.terminate()
            said = manager.communicate(timeout=30)[0]
    assert manager.returncode == 0, said
    assert "Traceback" not in said


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
