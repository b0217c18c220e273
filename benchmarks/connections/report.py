"""What was found, as it is kept in JSON, and as a table."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from benchmarks.saved import Saved
from benchmarks.table import lines_of, number, provenance
from benchmarks.timing import percentile

_HEAD: Final = ("", "unit", "found")


class ConnectionsReport(Saved, kw_only=True):
    """What idle connections cost, and how long calls and handshakes took beside a crowd."""

    #: How much of the machine's processor time the host took for others meanwhile.
    stolen: float
    #: How many connections were idle, and how many silent in a wave.
    idle: int
    silent: int
    #: Seconds of calls without any of them.
    alone: list[float]
    #: KiB for each idle one.
    memory: float
    #: A fraction of one processor.
    cpu: float
    #: Seconds of calls beside the idle ones.
    calls: list[float]
    #: Seconds of an honest client's connect, handshake and first call beside the silent ones.
    handshakes: list[float]

    def save(self, path: Path) -> None:
        """Writes it as JSON, on one line: the times are many."""
        path.write_bytes(msgspec.json.encode(self) + b"\n")

    def markdown(self) -> str:
        """The table, and where it was measured."""
        idle, silent = f"beside {self.idle:,} idle ones", f"beside {self.silent:,} silent ones"
        rows = [
            ["memory of an idle connection", "KiB", number(self.memory)],
            [f"processor, {self.idle:,} idle connections", "% of one", number(100 * self.cpu)],
            ["a call alone, median / p99", "ms", _times(self.alone, 50, 99)],
            [f"a call {idle}, median / p99", "ms", _times(self.calls, 50, 99)],
            [
                f"connect, prove, first call {silent}, median / longest",
                "ms",
                _times(self.handshakes, 50, 100),
            ],
        ]
        stolen = f"The host took {100 * self.stolen:.0f} % of the processor time for others meanwhile."
        return "\n".join([*lines_of([_HEAD, *rows]), "", f"{provenance(self)} {stolen}"]) + "\n"


def _times(times: list[float], *percents: int) -> str:
    return " / ".join(number(percentile(times, percent) * 1e3) for percent in percents)
