"""What a test wants of its machine, which not every machine has."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest


def want(there: bool, what: str) -> None:
    """Skips the test where `what` is not there; with QM_CI=1 it fails, so that nobody takes it for done."""
    if there:
        return
    if os.environ.get("QM_CI") == "1":
        pytest.fail(f"not run: it wants {what}")
    pytest.skip(f"not run: it wants {what}")


def want_root() -> None:
    """As `want`, for tests that only root can run."""
    want(os.geteuid() == 0, "root")


def want_program(name: str) -> str:
    """The program of this name: pip's, beside our interpreter, or the system's, from the package of the same
    name. As `want` where it is not there."""
    ours = str(Path(sys.executable).parent)
    found = shutil.which(name, path=ours) or shutil.which(name)
    want(found is not None, f"{name} (apt-get install {name})")
    return found or name
