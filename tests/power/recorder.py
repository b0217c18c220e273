"""Sees what SQLite does to its files: every write, every cut of a file's length, every sync, in order.

A VFS over the system's own, which it makes SQLite's default for a while: the store that is recorded does not
know. The shared index of the log (-shm) passes by unseen, as it should: it is memory, and does not outlive a
power cut.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeAlias

import apsw
from msgspec import Struct

_NAME: Final = "recorder"


class Write(Struct, frozen=True):
    """Bytes for a place in a file."""

    file: str
    offset: int
    data: bytes


class Cut(Struct, frozen=True):
    """A file gets this length."""

    file: str
    size: int


class Delete(Struct, frozen=True):
    """A file goes; `synced`: the folder was synced with it."""

    file: str
    synced: bool


class SyncBegins(Struct, frozen=True):
    """What was written to the file before this ..."""

    file: str


class SyncEnds(Struct, frozen=True):
    """... is on the disk from here on. `begun` is where in the record that sync began."""

    file: str
    begun: int


class Acknowledged(Struct, frozen=True):
    """Somebody was told that a task is added, or (with an output) finished."""

    id: str
    output: bytes | None = None


Event: TypeAlias = Write | Cut | Delete | SyncBegins | SyncEnds | Acknowledged


class Recorder:
    """The record, in order. Threads add to it: a list's append is atomic."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def acknowledge(self, id_: str, output: bytes | None = None) -> None:
        """Somebody has just been told."""
        self.events.append(Acknowledged(id_, output))

    @contextmanager
    def recording(self) -> Iterator[None]:
        """All that is opened in here is recorded, and has to be closed in here."""
        vfs = _VFS(self)
        try:
            yield
        finally:
            vfs.unregister()


class _VFS(apsw.VFS):
    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._base = apsw.vfs_names()[0]
        super().__init__(_NAME, self._base, makedefault=True)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        return _File(self._recorder, self._base, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        super().xDelete(filename, syncdir)
        self._recorder.events.append(Delete(Path(filename).name, bool(syncdir)))


class _File(apsw.VFSFile):
    def __init__(
        self, recorder: Recorder, base: str, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> None:
        super().__init__(base, name, flags)
        text = name.filename() if isinstance(name, apsw.URIFilename) else name
        self._name = Path(text).name if text else ""
        self._events = recorder.events

    def xWrite(self, data: bytes, offset: int) -> None:
        if self._name:
            self._events.append(Write(self._name, offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, size: int) -> None:
        self._events.append(Cut(self._name, size))
        super().xTruncate(size)

    def xSync(self, flags: int) -> None:
        begun = len(self._events)
        self._events.append(SyncBegins(self._name))
        super().xSync(flags)
        self._events.append(SyncEnds(self._name, begun))
