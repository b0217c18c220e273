"""A manager in this process, the programs as calls, and a worker's part played by hand."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest

from qm import logs
from qm.cli import qmclient
from qm.client import Client
from qm.testing import RunningManager, running_manager
from qm.wire.keys import make_key
from tests.cli.stage import Call, Hand, Said, Stdin


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A QM_HOME of the test's own."""
    path = tmp_path / "home"
    monkeypatch.setenv("QM_HOME", str(path))
    return path


@pytest.fixture(autouse=True)
def _tidy() -> Iterator[None]:
    """What the programs set for their whole process is put back."""
    root, digits, mask = logging.getLogger(), sys.get_int_max_str_digits(), os.umask(0o022)
    level, before = root.level, list(root.handlers)
    yield
    for handler in [handler for handler in root.handlers if isinstance(handler, logs.LineHandler)]:
        if handler not in before:
            root.removeHandler(handler)
    root.setLevel(level)
    sys.set_int_max_str_digits(digits)
    os.umask(mask)


@pytest.fixture
def manager(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningManager]:
    """A manager that the programs find by the environment."""
    with running_manager(authkey=make_key(home / "authkey")) as manager:
        monkeypatch.setenv("QM_RPC", str(manager.address))
        yield manager


@pytest.fixture
def client(manager: RunningManager) -> Client:
    return manager.client()


@pytest.fixture
def hand(client: Client) -> Hand:
    return Hand(client, "fibonacci", "reverse")


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs qmclient. Its stdout is a pipe, unlike that of `terminal`."""

    def run(*argv: str) -> Said:
        capsys.readouterr()
        code = qmclient.main(list(argv))
        return Said(code, *capsys.readouterr())

    return run


@pytest.fixture
def terminal(call: Call, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Runs qmclient. Its stdout is a terminal."""

    def run(*argv: str) -> Said:
        with monkeypatch.context() as patch:
            patch.setattr(sys.stdout, "isatty", lambda: True)
            return call(*argv)

    return run


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Stdin:
    """Lets a program read these bytes on stdin."""

    def give(data: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(data)))

    return give
