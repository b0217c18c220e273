"""A test that was not run is not taken for done where it counts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.wants import want, want_program

ROOT = Path(__file__).parents[1]


def test_what_is_missing_skips_here_and_fails_on_the_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QM_CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="it wants a pony"):
        want(False, "a pony")
    monkeypatch.setenv("QM_CI", "1")
    with pytest.raises(pytest.fail.Exception, match="it wants a pony"):
        want(False, "a pony")
    want(True, "a pony")


def test_programs_of_pip_are_found_beside_the_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert Path(want_program("pytest")).parent == Path(sys.executable).parent


def test_our_own_settings_are_hidden_from_tests_and_the_ci_s_is_not() -> None:
    look = "import os, tests.conftest; print(*sorted(name for name in os.environ if name.startswith('QM_')))"
    settings = {"QM_CI": "1", "QM_HOME": "/home/somebody", "QM_RPC": "127.0.0.1:1"}
    found = subprocess.run(
        [sys.executable, "-c", look],
        env=os.environ | settings,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.split() == ["QM_CI"]
