"""key add, key list, key remove: who may come in."""

from __future__ import annotations

from pathlib import Path

from qm import environment
from qm.cli.arguments import Arguments
from qm.cli.exits import Exit
from qm.cli.terminal import hint
from qm.errors import BadRequest
from qm.wire.keyfile import add_key, line_of, remove_key
from qm.wire.keys import read_keys
from qm.wire.roles import Role


def key(arguments: Arguments) -> int:
    """Prints, or changes, the file of keys."""
    path = arguments.path("--authkey-file") or environment.authkey_file()
    if arguments.has("add"):
        return _add(path, arguments)
    if arguments.has("remove"):
        remove_key(path, arguments.text("NAME") or "")
        _tell(path)
        return Exit.OK
    for known in read_keys(path):
        print(f"{known.name} {known.role}")
    return Exit.OK


def _add(path: Path, arguments: Arguments) -> int:
    role = arguments.one_of("--role", tuple(Role))
    if role is None:
        raise BadRequest(f"--role is one of {', '.join(Role)}")
    added = add_key(path, arguments.text("NAME") or "", Role(role))
    print(line_of(added).decode())  # the only time that it is shown
    hint("write this line to a file of mode 600 where it is needed, and name that by --authkey-file")
    _tell(path)
    return Exit.OK


def _tell(path: Path) -> None:
    hint(f"a running qmanager reads {path} again when it gets SIGHUP")
