"""What was found, as it is kept in JSON, and as a table."""

from __future__ import annotations

from typing import Final

import msgspec

from benchmarks.saved import Saved
from benchmarks.table import lines_of, number, provenance
from benchmarks.timing import median

_HEAD: Final = ("what happens to the worker", "times", "median, s", "longest, s")

_MEANING: Final = {
    "child": "its process is killed",
    "pool": "the whole pool is killed",
    "host": "its host falls silent",
}


class RecoveryReport(Saved, kw_only=True):
    """Seconds from each death until the task ran again, by what died."""

    seconds: dict[str, list[float]] = msgspec.field(default_factory=dict)

    def markdown(self) -> str:
        """The table, and where it was measured."""
        rows = [
            [_MEANING[death], f"{len(found)}", number(median(found)), number(max(found))]
            for death, found in self.seconds.items()
        ]
        return "\n".join([*lines_of([_HEAD, *rows]), "", provenance(self)]) + "\n"
