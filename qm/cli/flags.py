"""The original's flags, in Go's style with one dash, put into GNU's for docopt."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Final

from qm.errors import BadRequest

#: The six flags the original had. All take a value, as the next word or after ``=``.
ORIGINAL: Final = ("type", "input", "id", "rpc", "http", "delay")

#: docopt takes the beginning of a flag for the flag: `--authkey KEY` would be the name of a file.
_KEY_FILE: Final = "--authkey-file"

_SINGLE: Final = {f"-{name}": f"--{name}" for name in ORIGINAL}


def to_gnu(words: Sequence[str]) -> list[str]:
    """`words` with ``-type x`` and ``-type=x`` as ``--type x`` and ``--type=x``.

    Values stay as they are, even those that look like a flag, and so does everything after ``--``.
    Raises `BadRequest` for a key among them.
    """
    done: list[str] = []
    rest = iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        if name.startswith("--auth") and name != _KEY_FILE and _KEY_FILE.startswith(name):
            raise BadRequest(
                f"a key is never on the command line, where every user of this machine can read it: {name}",
                hint=f"put it into a file, for its owner alone, and name that: {_KEY_FILE} FILE",
            )
        name = _SINGLE.get(name, name)
        done.append(name + equals + value)
        if word == "--":
            done.extend(rest)
        elif not equals and name in _SINGLE.values():
            done.extend(islice(rest, 1))
    return done
