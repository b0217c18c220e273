"""qmanager as a measured system, in words."""

from __future__ import annotations

from typing import Final

from benchmarks.probe import DURABILITIES, POSTGRES, system_of
from benchmarks.report import Level, System

_PROMISES: Final = {
    "full": "SQLite, every acknowledged add and result is synced to disk",
    "relaxed": "SQLite, a power cut may undo the last moments, a crash of the program nothing",
    "memory": "in memory, nothing outlives the manager",
    POSTGRES: "PostgreSQL, synchronous_commit on, synced",
}

_LEVELS: Final = {
    "full": Level.SYNCED,
    "relaxed": Level.RELAXED,
    "memory": Level.MEMORY,
    POSTGRES: Level.SYNCED,
}


def ours() -> list[System]:
    """Default settings throughout, attempt records on."""
    return [
        System(
            name=system_of(durability),
            level=_LEVELS[durability],
            durability=_PROMISES[durability],
            configuration="default settings, `qmworker --processes 2`",
        )
        for durability in (*DURABILITIES, POSTGRES)
    ]
