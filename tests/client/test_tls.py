"""What holds of a client's connections holds over TLS too: interrupts, forks, first calls."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from qm.client import Client
from qm.errors import AuthFailed
from qm.wire.remote import Remote
from tests.client.test_channels import FIRST_CALL, FORK
from tests.client.test_channels import (
    test_an_interrupted_call_never_gives_another_calls_answer as interrupt_at_random,
)
from tests.manager.serving import Managed, managed
from tests.wire.certificates import authority, issue
from tests.wire.peers import KEY

ROOT = Path(__file__).parents[2]


class Secured:
    """A manager, and how to know it."""

    def __init__(self, manager: Managed, tls: str) -> None:
        self.address = manager.address
        self.tls = tls

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        """Runs a script of `test_channels` with a client over TLS."""
        assert script.count(", KEY)") == 1
        script = script.replace(", KEY)", ", KEY, sys.argv[2])")
        return subprocess.run(
            [sys.executable, "-c", script, str(self.address.port), self.tls],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
        )


@pytest.fixture(params=["pin", "ca"])
def secured(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Secured]:
    ca = authority()
    tls = issue(tmp_path / "manager", ca).load()
    with managed(tls=tls) as manager:
        known = tls.fingerprint if request.param == "pin" else f"ca:{ca.write(tmp_path / 'ca.pem')}"
        yield Secured(manager, known)


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupted_call_never_gives_another_calls_answer(secured: Secured) -> None:
    remote = Remote(secured.address, KEY, secured.tls)
    interrupt_at_random(remote)
    remote.close()


def test_both_sides_of_a_fork_go_on_calling(secured: Secured) -> None:
    ran = secured.run(FORK)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"{[0] * 8} []\n", "")


def test_a_first_call_imports_nothing(secured: Secured) -> None:
    """Row 21."""
    line = 'Remote(("127.0.0.1", int(sys.argv[1])), KEY)'
    script = FIRST_CALL.replace(line, "remote").replace("before = ", f"remote = {line}\nbefore = ")
    ran = secured.run(script)
    assert (ran.returncode, ran.stdout) == (0, "[]\n"), ran.stderr


def test_a_client_without_tls_does_without_openssls_tls() -> None:
    """It costs a tenth of the time in which qmclient starts."""
    script = """
import sys
from qm.client import Client
Client(("127.0.0.1", 1), b"k" * 32, tls="")
print("ssl" in sys.modules)
"""
    ran = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ran.stdout == "False\n", ran.stderr


def test_a_manager_that_is_another_one_is_not_tried_again(secured: Secured) -> None:
    """Patience is for a manager that is away."""
    with (
        Client(secured.address, KEY, tls="sha256:" + "0" * 64, patience=3600) as client,
        pytest.raises(AuthFailed, match="is another one"),
    ):
        client.status()


def test_the_environment_says_how_to_know_the_manager(
    secured: Secured, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, _, value = secured.tls.partition(":")
    if kind == "ca":
        monkeypatch.setenv("QM_TLS_CA", value)
    else:
        monkeypatch.setenv("QM_TLS_FINGERPRINT", secured.tls)
    with Client(secured.address, KEY) as client:
        assert client.status().wait == 0
