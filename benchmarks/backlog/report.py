"""What was found at each size, as it is kept in JSON, and as a table."""

from __future__ import annotations

from typing import Final

import msgspec

from benchmarks.report import NOISY
from benchmarks.saved import Saved
from benchmarks.table import lines_of, number, provenance

_HEAD: Final = ("waiting", "add, µs", "take, µs", "status, µs", "filled at, tasks/s", "on disk, MB")


class Verb(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds of a call: the median and the 99th percentile."""

    p50: float
    p99: float


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """All about one size. `filled`: tasks added to reach it, within `seconds`; `disk`: bytes. `stolen` and
    `others` as those of a `Sample`."""

    waiting: int
    verbs: dict[str, Verb]
    filled: int
    seconds: float
    disk: int
    stolen: float
    others: float


class BacklogReport(Saved, kw_only=True):
    """All sizes of one run."""

    times: int
    sizes: list[Size] = msgspec.field(default_factory=list)

    def markdown(self) -> str:
        """The table, and under it what must be known to read it."""
        lines = lines_of([_HEAD, *(_row(size) for size in self.sizes)])
        notes = (
            f"{provenance(self)} Medians of {self.times:,} calls, the 99th percentile in brackets; ~: "
            "the host withheld, or other programs used just before or after, more than "
            f"{100 * NOISY:.0f} % of the processor time."
        )
        return "\n".join([*lines, "", notes]) + "\n"


def _row(size: Size) -> list[str]:
    doubt = "~" if max(size.stolen, size.others) > NOISY else ""
    verbs = [size.verbs[name] for name in ("add", "take", "status")]
    return [
        f"{doubt}{size.waiting:,}",
        *(f"{number(verb.p50 * 1e6)} ({number(verb.p99 * 1e6)})" for verb in verbs),
        number(size.filled / size.seconds),
        number(size.disk / 1e6),
    ]
