"""The shared measurements, of peers: as those of qmanager, from outside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks import completing, raw
from benchmarks.peers.bench import Bench, bench
from benchmarks.peers.catalog import Peer, chosen
from benchmarks.peers.environment import install, versions
from benchmarks.peers.servers import check
from benchmarks.probe import Probe
from benchmarks.report import System
from benchmarks.timing import milliseconds

_ADDS: Final = 5_000
_BULK: Final = 50_000
_ROUND_TRIPS: Final = 500
#: Tasks that show that the workers are there, and how long that may take.
_FIRST: Final = 100
_FIRST_TIMEOUT: Final = 60.0
#: Per call, while it is measured what is sustained.
_CALL: Final = 100


@dataclass
class Others:
    """The peers' probes, and who they are."""

    probes: list[Probe] = field(default_factory=list)
    systems: list[System] = field(default_factory=list)


def peers(names: Sequence[str], measures: Sequence[str]) -> Others:
    """Installs the peers with these names. Raises `ValueError` for one that is unknown or has no server."""
    found = chosen(list(names))
    for peer in found:
        check(peer.server)
    others = Others()
    for peer in found:
        programs = install(peer)
        others.systems.append(
            System(
                name=peer.name,
                level=peer.level,
                durability=peer.durability,
                configuration=peer.configuration,
                versions=versions(programs),
            )
        )
        for measure in peer.measures:
            if measure in measures:
                others.probes.append(Probe(measure, peer.name, partial(_measure, peer, programs, measure)))
    return others


def _measure(peer: Peer, programs: Path, measure: str) -> dict[str, float]:
    if measure == "bcrypt":
        return _bcrypt(peer, programs)
    with bench(peer, programs) as here:
        return _MEASURES[measure](here, peer)


def _bcrypt(peer: Peer, programs: Path) -> dict[str, float]:
    """What the machine can do is measured while no server of the peer runs."""
    before = raw.bcrypt()
    with bench(peer, programs) as here:
        found = _drained(here, raw.HASHES, "bcrypt")
    return raw.share(found, max(before, raw.bcrypt()))


def _drained(here: Bench, count: int, task: str) -> completing.Drained:
    here.produce("fill", count, task)
    with here.workers():
        return completing.drained(here.stamps, here.cpu_seconds, count)


def _drain(here: Bench, peer: Peer) -> dict[str, float]:
    found = _drained(here, peer.backlog, "noop")
    return {"drain": found.rate, "cpu": found.cpu * 1e6}


def _latency(here: Bench, peer: Peer) -> dict[str, float]:
    with here.workers():
        return milliseconds("latency", here.produce("latency", _ROUND_TRIPS))


def _sustained(here: Bench, word: str) -> dict[str, float]:
    with here.workers():
        here.produce("fill", _FIRST)
        here.stamps.wait(_FIRST, _FIRST_TIMEOUT)
        with here.producing(word, _CALL):
            return {word: completing.sustained(here.stamps)}


def _adding(here: Bench, word: str, count: int) -> dict[str, float]:
    return {word: here.produce(word, count)}


_MEASURES: Final[dict[str, Callable[[Bench, Peer], dict[str, float]]]] = {
    "add": lambda here, peer: _adding(here, "add", _ADDS),
    "bulk": lambda here, peer: _adding(here, "bulk", _BULK),
    "drain": _drain,
    "sustained": lambda here, peer: _sustained(here, "sustained"),
    "sustained_bulk": lambda here, peer: _sustained(here, "sustained_bulk"),
    "latency": _latency,
}
