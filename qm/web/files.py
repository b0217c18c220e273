"""The files of the page: read once, served by their exact names, never by a path."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Final, NamedTuple

_TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
}


class File(NamedTuple):
    """One file."""

    body: bytes
    type: str


def static_files() -> dict[str, File]:
    """The scripts, styles and pictures, by their names below /static/."""
    return {name: _file(file) for name, file in _walk(resources.files(__package__) / "static", "")}


def view(name: str) -> File:
    """A page of views/."""
    return _file(resources.files(__package__) / "views" / name)


def _walk(folder: Traversable, prefix: str) -> Iterator[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _walk(entry, f"{prefix}{entry.name}/")
        elif entry.name.rpartition(".")[2] in _TYPES:
            yield prefix + entry.name, entry


def _file(file: Traversable) -> File:
    return File(file.read_bytes(), _TYPES[file.name.rpartition(".")[2]])
