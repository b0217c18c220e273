"""A fresh PostgreSQL with its default settings."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from pathlib import Path
from typing import Final

#: Whom it runs as where we are root, which it refuses to be. Debian's package makes this user.
_USER: Final = "postgres"


def missing() -> str | None:
    """What must be done before it can run; None: nothing."""
    if shutil.which("initdb") is None or shutil.which("postgres") is None:
        return (
            "initdb and postgres are not on the path; on Debian: apt-get install postgresql, "
            "and then PATH=$PATH:/usr/lib/postgresql/15/bin"
        )
    return None


def command(folder: Path, port: int) -> list[str]:
    """Makes a database in `folder` and gives the command that serves it. Raises `RuntimeError`."""
    prefix: list[str] = []
    data = folder / "data"
    if os.geteuid() == 0:
        prefix = ["runuser", "-u", _USER, "--"]
        os.chown(folder, pwd.getpwnam(_USER).pw_uid, -1)
    make = [*prefix, "initdb", "--pgdata", str(data), "--auth", "trust", "--username", "postgres"]
    done = subprocess.run(make, capture_output=True, text=True, cwd=folder)
    if done.returncode:
        raise RuntimeError(f"initdb failed: {done.stderr.strip()[-300:]}")
    serve = ["postgres", "-D", str(data), "-p", str(port), "-k", str(folder), "-h", "127.0.0.1"]
    return [*prefix, *serve]
