"""What a disk holds after a power cut, from the record of what was written and synced before.

Modelled as what file systems promise, and no more:
- What was written before a sync of the file that has ended is there.
- Of what was written after it, any part is: each write whole, not at all, or torn at sectors of 512 bytes,
  and later ones without earlier ones. So is a change of length.
- A folder's changes (a file made, a file deleted) last from the folder's next sync on; of those after it, the
  first few are there, in order. SQLite syncs the folder with the first sync of a new log or journal, and with
  a deletion that asks for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from random import Random
from typing import Final

from tests.power.recorder import Cut, Delete, Event, SyncEnds, Write

SECTOR: Final = 512

#: The file that the store makes itself, before SQLite opens it.
MAIN: Final = "queue.db"


class _File:
    """One file from its making to its deletion: what was done to it, and where in the record."""

    def __init__(self) -> None:
        self.changes: list[tuple[int, Write | Cut]] = []
        #: Changes before this place in the record are on the disk.
        self.synced = 0
        self.was_synced = False

    def contents(self, rng: Random) -> bytes:
        """What is found of it."""
        found = bytearray()
        luck = rng.choice((0.1, 0.5, 0.9))
        for place, change in self.changes:
            if place < self.synced:
                _apply(found, change)
            elif rng.random() < luck:
                for part in _torn(change, rng):
                    _apply(found, part)
        return bytes(found)


class Disk:
    """Follows a record up to a cut."""

    def __init__(self, events: Sequence[Event]) -> None:
        self._folder: dict[str, _File] = {MAIN: _File()}
        #: The folder as it is on the disk, and as it was after each change since.
        self._durable: dict[str, _File] = {}
        self._since: list[dict[str, _File]] = [dict(self._folder)]
        for place, event in enumerate(events):
            self._follow(place, event)

    def write_to(self, folder: Path, rng: Random) -> None:
        """Makes the files that are found after the cut."""
        found = rng.choice([self._durable, *self._since])
        for name, file in found.items():
            (folder / name).write_bytes(file.contents(rng))

    def _follow(self, place: int, event: Event) -> None:
        if isinstance(event, Delete):
            if self._folder.pop(event.file, None) is not None:
                self._changed()
            if event.synced:
                self._sync_folder()
        elif isinstance(event, Write | Cut):
            if event.file not in self._folder:
                self._folder[event.file] = _File()
                self._changed()
            self._folder[event.file].changes.append((place, event))
        elif isinstance(event, SyncEnds) and event.file in self._folder:
            file = self._folder[event.file]
            file.synced = max(file.synced, event.begun)
            if not file.was_synced and event.file != MAIN:
                self._sync_folder()
            file.was_synced = True

    def _changed(self) -> None:
        self._since.append(dict(self._folder))

    def _sync_folder(self) -> None:
        self._durable = dict(self._folder)
        self._since.clear()


def _apply(contents: bytearray, change: Write | Cut) -> None:
    if isinstance(change, Cut):
        del contents[change.size :]
        contents.extend(bytes(change.size - len(contents)))
        return
    end = change.offset + len(change.data)
    contents.extend(bytes(max(0, end - len(contents))))
    contents[change.offset : end] = change.data


def _torn(change: Write | Cut, rng: Random) -> Iterable[Write | Cut]:
    """The whole change, or in one of three cases only some of the sectors that it touches."""
    if isinstance(change, Cut) or rng.random() < 2 / 3:
        yield change
        return
    start = 0
    while start < len(change.data):
        end = min(len(change.data), start + SECTOR - (change.offset + start) % SECTOR)
        if rng.random() < 0.5:
            yield Write(change.file, change.offset + start, change.data[start:end])
        start = end
