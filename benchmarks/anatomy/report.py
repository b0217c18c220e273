"""What was found, as it is kept in JSON, and as tables."""

from __future__ import annotations

from typing import Final

import msgspec

from benchmarks.anatomy.calls import Call
from benchmarks.saved import Saved
from benchmarks.table import lines_of, number, provenance

_HEAD: Final = ("one call after the other, µs", "by the clock", "CPU of the client", "CPU of the manager")
_FLOORS: Final = ("the bare parts, µs", "by the clock")


class AnatomyReport(Saved, kw_only=True):
    """Seconds of calls by what and durability, and of the bare parts."""

    calls: dict[str, Call] = msgspec.field(default_factory=dict)
    floors: dict[str, float] = msgspec.field(default_factory=dict)

    def markdown(self) -> str:
        """Both tables, and where it was measured."""
        calls = [
            [name, *(number(seconds * 1e6) for seconds in (call.wall, call.client, call.manager))]
            for name, call in self.calls.items()
        ]
        floors = [[name, number(seconds * 1e6)] for name, seconds in self.floors.items()]
        lines = [*lines_of([_HEAD, *calls]), "", *lines_of([_FLOORS, *floors]), "", provenance(self)]
        return "\n".join(lines) + "\n"
