"""Changes of the file of keys: one at a time, whole or not at all. Comments and order stay as they are."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qm.errors import BadRequest, NotFound
from qm.wire.keys import KEY_NAME, make_key, new_secret, parse_keys, read_keys, read_secret, replace_secret
from qm.wire.roles import Key, Role


def add_key(path: Path, name: str, role: Role) -> Key:
    """A new key, at the end of the file; a file that is not there is made, with an operator's key first.

    Raises `BadRequest` for a name that is taken or none, and where the file cannot be read or written.
    """
    if not KEY_NAME.fullmatch(name):
        raise BadRequest(f"{name[:80]!r} is no name", hint="up to 64 characters of A-Z a-z 0-9 . _ -")
    make_key(path)
    with _changing(path):
        keys = read_keys(path)
        if name in [key.name for key in keys]:
            raise BadRequest(f"there is a key {name!r} already", hint="choose another name, or remove it")
        added = Key(name, role, new_secret())
        _write(path, [*_lines(path, keys), line_of(added)])
    return added


def remove_key(path: Path, name: str) -> None:
    """Takes a key away. Raises `NotFound` for one that is not there, `BadRequest` for the last one and as
    `add_key`."""
    with _changing(path):
        keys = read_keys(path)
        if name not in [key.name for key in keys]:
            raise NotFound(f"there is no key {name!r}", hint="qmanager key list")
        if len(keys) == 1:
            raise BadRequest(f"{name!r} is the last key: nobody could come in", hint="add another one first")
        wanted = name.encode()
        _write(path, [line for line in _lines(path, keys) if line.split()[:1] != [wanted]])


def line_of(key: Key) -> bytes:
    """The key as a line of the file: all that its holder needs."""
    return b" ".join((key.name.encode(), key.role.encode(), key.secret))


def _lines(path: Path, keys: tuple[Key, ...]) -> list[bytes]:
    """The lines of the file, a key alone written out with its name and role."""
    lines = read_secret(path, "authkey", "").splitlines()
    bare = keys[0].secret
    return [line_of(keys[0]) if line.split() == [bare] else line for line in lines]


def _write(path: Path, lines: list[bytes]) -> None:
    data = b"\n".join([*lines, b""])
    parse_keys(data, path)  # what the manager could not read must not take the place of what it can
    try:
        replace_secret(path, data)
    except OSError as error:
        raise BadRequest(f"cannot write the authkey {path}: {error.strerror}") from None


@contextmanager
def _changing(path: Path) -> Iterator[None]:
    """While inside, nobody else changes a file of this folder in this way."""
    try:
        folder = os.open(path.parent, os.O_RDONLY)
    except OSError as error:
        raise BadRequest(f"cannot change the authkey {path}: {error.strerror}") from None
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
