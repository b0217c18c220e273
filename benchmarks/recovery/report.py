"""What was found, as it is kept in JSON, and as a table."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from benchmarks.table import lines_of, number, provenance
from benchmarks.timing import median

_HEAD: Final = ("what happens to the worker", "times", "median, s", "longest, s")

_MEANING: Final = {
    "child": "its process is killed",
    "pool": "the whole pool is killed",
    "host": "its host falls silent",
}


class RecoveryReport(msgspec.Struct, kw_only=True):
    """Seconds from each death until the task ran again, by what died."""

    date: str
    machine: dict[str, str]
    versions: dict[str, str]
    seconds: dict[str, list[float]] = {}

    def save(self, path: Path) -> None:
        """Writes it as JSON."""
        path.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n")

    @staticmethod
    def load(path: Path) -> RecoveryReport:
        """Reads what `save` wrote. Raises `OSError`, `msgspec.DecodeError`."""
        return msgspec.json.decode(path.read_bytes(), type=RecoveryReport)

    def markdown(self) -> str:
        """The table, and where it was measured."""
        rows = [
            [_MEANING[death], f"{len(found)}", number(median(found)), number(max(found))]
            for death, found in self.seconds.items()
        ]
        return "\n".join([*lines_of([_HEAD, *rows]), "", provenance(self)]) + "\n"
