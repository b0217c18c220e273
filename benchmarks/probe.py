"""A measurement of one system, and the ones of qmanager."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final

from benchmarks import crowd, producing, resting, waiting, working
from benchmarks.report import OURS

DURABILITIES: Final = ("full", "relaxed", "memory")

#: As full, over a fresh PostgreSQL beside it; measured where it is named.
POSTGRES: Final = "postgres"

_MEASURES: Final[dict[str, Callable[[str], dict[str, float]]]] = {
    "add": producing.add,
    "add16": producing.add16,
    "bulk": producing.bulk,
    "drain": working.drain,
    "sustained": working.sustained,
    "sustained_bulk": working.sustained_bulk,
    "latency": waiting.latency,
    "half": waiting.half,
    "loaded": waiting.loaded,
    "bcrypt": working.bcrypt,
    "crowd": crowd.crowd,
    "crowd4000": crowd.crowd4000,
    "idle": resting.idle,
}


@dataclass(frozen=True)
class Probe:
    """`measure` gives figures by name (`benchmarks.figures`)."""

    name: str
    system: str
    measure: Callable[[], dict[str, float]]


def ours(names: Iterable[str], durabilities: Iterable[str] = DURABILITIES) -> list[Probe]:
    """The probes with these names at each durability."""
    wanted = set(names)
    return [
        Probe(name, system_of(durability), partial(measure, durability))
        for durability in durabilities
        for name, measure in _MEASURES.items()
        if name in wanted
    ]


def system_of(durability: str) -> str:
    """How tables name qmanager at a durability, or over PostgreSQL."""
    return f"{OURS} {durability}"
