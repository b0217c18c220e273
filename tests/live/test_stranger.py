"""tests/stranger.py, which knows docs/protocol.md alone, beside a manager that speaks TLS."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests import stranger
from tests.stranger import Connection, Refused, new_task, secure

pytestmark = pytest.mark.xdist_group("live-stranger")


class Running(NamedTuple):
    """A manager that speaks TLS."""

    host: str
    port: int
    key: bytes
    fingerprint: str


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Running]:
    env = {**os.environ, "QM_HOME": str(tmp_path / "home")}
    command = [sys.executable, "-m", "qm.cli.qmanager"]
    said = subprocess.run(
        [*command, "tls", "init"], env=env, capture_output=True, text=True, check=True, timeout=60
    )
    fingerprint = re.search(r"sha256:[0-9a-f]{64}", said.stdout)
    assert fingerprint is not None, said.stdout
    ready = tmp_path / "ready"
    options = [
        "--tls",
        "--rpc",
        "127.0.0.1:0",
        "--http",
        "off",
        "--store",
        "memory:",
        "--ready-file",
        str(ready),
    ]
    process = subprocess.Popen([*command, *options], env=env)
    deadline = time.monotonic() + 30
    while not ready.exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    host, port = ready.read_text().split()[1].split(":")
    yield Running(host, int(port), (tmp_path / "home" / "authkey").read_bytes().split()[-1], fingerprint[0])
    process.terminate()
    assert process.wait(30) == 0


def test_the_handshake_over_tls_is_as_the_document_says(manager: Running) -> None:
    with Connection(*manager) as connection:
        connection.call("queue", "add", [new_task("a", "sum", 1)])
        assert connection.call("wait", "count") == 1


def test_a_proof_that_leaves_the_certificate_out_is_refused(
    manager: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a relay under another certificate, which makes the two ends see different ones, is too."""
    monkeypatch.setattr(stranger, "secure", lambda sock, known: (secure(sock, known)[0], b""))
    with pytest.raises(Refused, match="a wrong key"):
        Connection(*manager)
