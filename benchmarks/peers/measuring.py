"""The shared measurements, of peers: as those of qmanager, from outside."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks.peers.catalog import Peer, chosen
from benchmarks.peers.environment import install, versions
from benchmarks.peers.place import VARIABLE
from benchmarks.peers.servers import check, server
from benchmarks.probe import Probe
from benchmarks.program import ROOT, program
from benchmarks.report import System
from benchmarks.stage import stamp_file
from benchmarks.stamps import Stamps
from benchmarks.timing import middle_rate, milliseconds

_ADDS: Final = {"add": 5_000, "bulk": 50_000}
_ROUND_TRIPS: Final = 500
_TIMEOUT: Final = 180.0


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
    with server(peer.server) as place, stamp_file() as path:
        here = _Bench(peer, programs, place, Stamps(path))
        here.prepare()
        if measure == "drain":
            here.produce("fill", peer.backlog)
            with here.workers():
                here.stamps.wait(peer.backlog, _TIMEOUT)
            return {"drain": middle_rate(here.stamps.times())}
        if measure == "latency":
            with here.workers():
                return milliseconds("latency", here.produce("latency", _ROUND_TRIPS))
        return {measure: here.produce(measure, _ADDS[measure])}


class _Bench:
    """A peer with its server running."""

    def __init__(self, peer: Peer, programs: Path, place: str, stamps: Stamps) -> None:
        self.stamps = stamps
        self._peer = peer
        self._programs = programs
        self._environment = {
            VARIABLE: place,
            "PYTHONPATH": str(ROOT),
            # a peer that starts processes of its own must find its own interpreter and programs first
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            **stamps.environment(),
            **peer.variables,
        }

    def prepare(self) -> None:
        """What must be done once, before its workers come. Raises `RuntimeError`."""
        if self._peer.prepare:
            self._run(self._words(self._peer.prepare))

    def produce(self, word: str, count: int) -> Any:
        """What `benchmarks.peers.produce` answers. Raises `RuntimeError`."""
        command = [str(self._programs / "python"), "-m", "benchmarks.peers.produce"]
        return json.loads(self._run([*command, self._peer.module, word, str(count)]).splitlines()[-1])

    @contextmanager
    def workers(self) -> Iterator[None]:
        """Its two workers."""
        with tempfile.TemporaryDirectory(prefix="qmanager-bench.") as folder, ExitStack() as stack:
            for command in self._peer.workers:
                log = Path(folder) / "workers.log"
                stack.enter_context(program(self._words(command), self._environment, log))
            yield

    def _words(self, command: Sequence[str]) -> list[str]:
        place = self._environment[VARIABLE]
        return [str(self._programs / command[0]), *(word.replace("{server}", place) for word in command[1:])]

    def _run(self, words: Sequence[str]) -> str:
        done = subprocess.run(
            words,
            env={**os.environ, **self._environment},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
        )
        if done.returncode:
            raise RuntimeError(f"{Path(words[0]).name} failed: {done.stderr.strip()[-500:]}")
        return done.stdout
