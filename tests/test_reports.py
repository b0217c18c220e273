"""A run of the tests outlives what a test says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

SURROGATES = r"""
import logging

def test_that_passes():
    logging.warning("a\ud800")

def test_that_fails():
    logging.warning("b\ud800")
    raise ValueError("c\ud800")
"""


def test_reports_with_lone_surrogates_reach_the_process_that_prints_them(tmp_path: Path) -> None:
    (tmp_path / "test_surrogates.py").write_text(SURROGATES)
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "--numprocesses=1"]
    done = subprocess.run(
        [*command, f"--rootdir={tmp_path}", str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert done.returncode == 1, done.stdout
    assert "1 failed, 1 passed" in done.stdout
    assert r"b\ud800" in done.stdout
    assert r"c\ud800" in done.stdout
