"""The original's flags, in Go's style with one dash, put into GNU's for docopt."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Final

#: The six flags the original had. All take a value, as the next word or after ``=``.
ORIGINAL: Final = ("type", "input", "id", "rpc", "http", "delay")

_SINGLE: Final = {f"-{name}": f"--{name}" for name in ORIGINAL}


def to_gnu(words: Sequence[str]) -> list[str]:
    """`words` with ``-type x`` and ``-type=x`` as ``--type x`` and ``--type=x``.

    Values stay as they are, even those that look like a flag, and so does everything after ``--``.
    """
    done: list[str] = []
    rest = iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        name = _SINGLE.get(name, name)
        done.append(name + equals + value)
        if word == "--":
            done.extend(rest)
        elif not equals and name in _SINGLE.values():
            done.extend(islice(rest, 1))
    return done
