"""An environment for each family of peers under .bench/, so that none of them gets into ours."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

from benchmarks.peers.catalog import Peer
from benchmarks.program import ROOT

_FOLDER: Final = ROOT / ".bench"
#: What the tasks themselves need.
_SHARED: Final = ("bcrypt",)


def install(peer: Peer) -> Path:
    """The folder of its programs; installs what is not there yet. Raises `ValueError` where pip fails."""
    home = _FOLDER / peer.family
    packages = (*peer.packages, *_SHARED)
    wanted = "\n".join(packages)
    note = home / "installed"
    if not note.exists() or note.read_text() != wanted:
        print(f"installing {', '.join(packages)} into {home.relative_to(ROOT)}", file=sys.stderr)
        _run(peer, sys.executable, "-m", "venv", "--clear", str(home))
        pip = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _run(peer, *pip, *packages)
        note.write_text(wanted)
    return home / "bin"


def versions(programs: Path) -> dict[str, str]:
    """What is installed there."""
    command = [str(programs / "python"), "-m", "pip", "list", "--format=json", "--disable-pip-version-check"]
    listed = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return {item["name"]: item["version"] for item in listed if item["name"] not in ("pip", "setuptools")}


def _run(peer: Peer, *command: str) -> None:
    if subprocess.run(command).returncode:
        raise ValueError(f"{peer.name} could not be installed (see above)")
