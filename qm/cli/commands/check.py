"""check: is the store's file good?"""

from __future__ import annotations

from qm import environment
from qm.cli.arguments import Arguments
from qm.cli.exits import Exit
from qm.cli.terminal import hint
from qm.logs import printable
from qm.store import file_of


def check(arguments: Arguments) -> int:
    """Prints what is wrong with the store, a line each; 65 where anything is."""
    from qm.store.sqlite.check import check_file  # SQLite is not for --help

    path = file_of(arguments.text("--store") or environment.store())
    found = 0
    for line in check_file(path):
        print(printable(line))
        found += 1
    if found:
        hint(f"stop the manager and restore {path} from a backup, see docs/disk.md")
        return Exit.STORE_CORRUPT
    print(f"{path}: good")
    return Exit.OK
