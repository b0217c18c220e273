"""What a run found, as it is kept in JSON."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.timing import median

#: Beyond this share of processor time, stolen or used by others, a run says more about them than about us.
NOISY: Final = 0.15

#: How the name of every configuration of ours begins.
OURS: Final = "qmanager"


class Level(StrEnum):
    """What an acknowledged task survives; only systems of one level are equals."""

    #: A power cut.
    SYNCED = "synced to disk"
    #: A crash of the program, but not always a power cut.
    RELAXED = "on disk, not synced"
    MEMORY = "in memory"


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of one run. `stolen`: the share of processor time that the host took meanwhile; `others`:
    what other programs of this machine used just before or just after, whichever was more."""

    system: str
    figure: str
    run: int
    value: float
    stolen: float
    others: float
    noisy: bool


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A measurement that gave nothing, and why."""

    system: str
    probe: str
    run: int
    why: str


class System(msgspec.Struct, frozen=True, kw_only=True):
    """Who was measured: what it keeps through what, how it was set up, what it consists of."""

    name: str
    level: Level
    durability: str
    configuration: str
    versions: dict[str, str] = {}

    @property
    def ours(self) -> bool:
        """Whether it is qmanager."""
        return self.name.startswith(OURS)


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """Median of the quiet runs, least and largest of all; `doubtful` where no run was quiet."""

    median: float
    least: float
    largest: float
    runs: int
    noisy: int

    @property
    def doubtful(self) -> bool:
        """Whether the median is one of noisy runs, for want of quiet ones."""
        return self.noisy == self.runs


class Report(msgspec.Struct, kw_only=True):
    """All of it."""

    date: str
    runs: int
    machine: dict[str, str]
    versions: dict[str, str]
    systems: list[System]
    samples: list[Sample] = []
    failures: list[Failure] = []

    def levels(self) -> dict[Level, list[System]]:
        """The systems by what they keep, equals beside equals."""
        return {level: found for level in Level if (found := [s for s in self.systems if s.level is level])}

    def summary(self, system: str, figure: str) -> Summary | None:
        """None where there is no sample."""
        found = [s for s in self.samples if (s.system, s.figure) == (system, figure)]
        if not found:
            return None
        values = [s.value for s in found]
        quiet = [s.value for s in found if not s.noisy]
        return Summary(
            median=median(quiet or values),
            least=min(values),
            largest=max(values),
            runs=len(values),
            noisy=len(values) - len(quiet),
        )

    def save(self, path: Path) -> None:
        """Writes it as JSON."""
        path.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n")

    @staticmethod
    def load(path: Path) -> Report:
        """Reads what `save` wrote. Raises `OSError`, `msgspec.ValidationError`."""
        return msgspec.json.decode(path.read_bytes(), type=Report)
