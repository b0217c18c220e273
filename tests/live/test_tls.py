"""The steps of docs/tls.md with real programs: a certificate, a worker's key, and how both are changed."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from qm.client import Client
from qm.errors import AuthFailed, NotAllowed
from qm.wire.address import parse_address
from qm.wire.channels import dialler
from qm.wire.codec import Request, decode_reply, encode, envelope
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


#: What issue 5 allows, for each of a thousand.
IDLE_KIB = 80
IDLE_CPU = 0.02


def resident(pid: int) -> int:
    """KiB of memory that a process has."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


def worked(pid: int) -> float:
    """Seconds for which a process has had a processor."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.slow
def test_a_thousand_idle_connections_over_tls_are_no_burden(stage: Stage) -> None:
    """Fault 20."""
    pin = qmanager(stage, "tls", "init").strip()
    manager = stage.manager("--tls", "--store", "memory:")
    address, key = parse_address(stage.address(), 0), read_key(stage.home / "authkey")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    make = dialler(pin)
    with ExitStack() as idle:
        idle.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))

        def connect(number: int) -> None:
            for rid in range(number):
                connection = make(address, key)
                idle.callback(connection.close)
                connection.send_frame(envelope(Request(rid, "queue", "status", encode([]))))
                assert decode_reply(connection.recv_frame(30)).ok

        connect(20)  # what the first ones cost, the others do not
        before = resident(manager.pid)
        connect(1000)
        assert (resident(manager.pid) - before) / 1000 < IDLE_KIB
        begun, spent = time.monotonic(), worked(manager.pid)
        time.sleep(2)
        assert (worked(manager.pid) - spent) / (time.monotonic() - begun) < IDLE_CPU
    assert ended(manager, signal.SIGTERM) == 0
