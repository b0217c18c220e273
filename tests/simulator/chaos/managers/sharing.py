"""A qmanager with a term of 3 s, and its sessions with the same: chaos tests have no time for 10 and 30."""

from __future__ import annotations

import runpy
from pathlib import Path

from qm.store.postgres import presence

presence._TERM = 3.0  # type: ignore[misc]
presence._REST_OF_A_KILLED = 1.0  # type: ignore[misc]

if __name__ == "__main__":
    runpy.run_path(str(Path(__file__).with_name("short_term.py")), run_name="__main__")
