"""backup: a copy of the store's file, also while a manager works."""

from __future__ import annotations

from pathlib import Path

from qm import environment
from qm.cli.arguments import Arguments
from qm.cli.exits import Exit
from qm.cli.meter import meter
from qm.store import file_of


def backup(arguments: Arguments) -> int:
    """Writes the copy, checked and synced, and prints its name and size."""
    from qm.store.sqlite.backup import back_up  # SQLite is not for --help

    path = file_of(arguments.text("--store") or environment.store())
    target = Path(arguments.text("FILE") or "").expanduser()
    with meter("qmanager", None) as shown:
        size = back_up(
            path, target, lambda done, pages: shown.show(f"{done:,} of {pages:,} pages copied", done)
        )
    print(f"{target}: {size:,} bytes")
    return Exit.OK
