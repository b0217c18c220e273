"""An operation that says when it begins, and runs until it is told to end."""

from __future__ import annotations

import os
import time
from pathlib import Path

from qm import Operations

ops = Operations()


@ops.operation("hold")
def hold(folder: str) -> None:
    """Appends its process and the monotonic time to `begun` in `folder`, and ends when `end` is there."""
    with Path(folder, "begun").open("a") as file:
        file.write(f"{os.getpid()} {time.monotonic()}\n")
    while not Path(folder, "end").exists():
        time.sleep(0.01)
