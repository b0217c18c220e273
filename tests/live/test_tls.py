"""The steps of docs/tls.md with real programs: a certificate, a worker's key, and how both are changed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from qm.client import Client
from qm.errors import AuthFailed, NotAllowed
from qm.wire.keys import read_key
from tests.live.test_programs import Stage, ended, until

pytestmark = pytest.mark.xdist_group("live-programs")


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    stage.end()


def qmanager(stage: Stage, *words: str) -> str:
    """Runs a command of it to its end, and gives what it prints."""
    ran = subprocess.run(
        [sys.executable, "-m", "qm.cli.qmanager", *words],
        env=os.environ | {"QM_HOME": str(stage.home)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def key_file(stage: Stage, name: str, role: str) -> Path:
    """A new key, in a file as its holder has it."""
    path = stage.home.parent / name
    path.touch(0o600)
    path.write_text(qmanager(stage, "key", "add", name, "--role", role))
    return path


def test_a_worker_of_another_host_works_over_tls_until_its_key_is_taken_away(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    pin = qmanager(stage, "tls", "init", "--hosts", "queue.lan").strip()
    manager = stage.manager("--tls", http="127.0.0.1:0")
    key = key_file(stage, "pool", "worker")
    manager.send_signal(signal.SIGHUP)
    until(lambda: "pool (worker)" in stage.log.read_text())
    words = [
        "--rpc",
        stage.address(),
        "--authkey-file",
        str(key),
        "--tls-fingerprint",
        pin,
        "--processes",
        "1",
    ]
    worker = stage.start("qmworker", *words)

    with Client(stage.address(), read_key(stage.home / "authkey"), tls=f"pin:{stage.home}/tls.crt") as client:
        assert client.result(client.add("fibonacci", 15), wait=30) == 610
        with Client(stage.address(), read_key(key), tls=pin) as workers, pytest.raises(NotAllowed):
            workers.add("fibonacci", 15)
        with urllib.request.urlopen(f"http://{stage.address('http')}/") as page:
            assert b"610" in page.read(), "the web process comes in, too"

        qmanager(stage, "key", "remove", "pool")
        manager.send_signal(signal.SIGHUP)
        until(lambda: not client.status().workers)
        with Client(stage.address(), read_key(key), tls=pin) as workers, pytest.raises(AuthFailed):
            workers.status()
        assert worker.poll() is None, "it comes back when its key does"

        qmanager(stage, "tls", "init", "--force")
        manager.send_signal(signal.SIGHUP)
        until(lambda: stage.log.read_text().count("speaking TLS 1.3") == 4)
        assert client.status().done == 1, "connections that are open stay so"
    with Client(stage.address(), read_key(stage.home / "authkey"), tls=f"pin:{stage.home}/tls.crt") as client:
        assert client.status().done == 1
    with urllib.request.urlopen(f"http://{stage.address('http')}/") as page:
        assert b"610" in page.read()
    assert ended(manager, signal.SIGTERM) == 0
    log = stage.log.read_text()
    assert "Traceback" not in log
    assert read_key(key).decode() not in log and read_key(stage.home / "authkey").decode() not in log
