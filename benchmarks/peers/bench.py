"""A peer with its server running: its producer and its workers as real processes."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from benchmarks.peers.catalog import Peer
from benchmarks.peers.place import VARIABLE
from benchmarks.peers.servers import Server, server
from benchmarks.program import ROOT, program
from benchmarks.stage import stamp_file
from benchmarks.stamps import Stamps
from benchmarks.usage import cpu_seconds, tree

_TIMEOUT: Final = 180.0


class Bench:
    """Where one measurement of a peer runs."""

    def __init__(self, peer: Peer, programs: Path, server: Server, stamps: Stamps, home: Path) -> None:
        self.stamps = stamps
        self._peer = peer
        self._programs = programs
        self._home = home
        self._roots = [server.pid] if server.pid else []
        self._environment = {
            VARIABLE: server.place,
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

    def produce(self, word: str, count: int, task: str = "noop") -> Any:
        """What `benchmarks.peers.produce` answers. Raises `RuntimeError`."""
        return json.loads(self._run(self._producer(word, count, task)).splitlines()[-1])

    @contextmanager
    def producing(self, word: str, count: int) -> Iterator[None]:
        """The same in the background, until the block ends. Raises `RuntimeError` where it ended before."""
        log = self._home / "producer.log"
        with program(self._producer(word, count, "noop"), self._environment, log) as producer:
            yield
            if producer.poll() is not None:
                raise RuntimeError(f"the producer ended: {log.read_text(errors='replace').strip()[-500:]}")

    @contextmanager
    def workers(self) -> Iterator[None]:
        """Its two workers."""
        with ExitStack() as stack:
            for command in self._peer.workers:
                log = self._home / "workers.log"
                workers = program(self._words(command), self._environment, log)
                self._roots.append(stack.enter_context(workers).pid)
            yield

    def cpu_seconds(self) -> float:
        """What its workers and its server have used so far."""
        return cpu_seconds(tree(*self._roots))

    def _producer(self, word: str, count: int, task: str) -> list[str]:
        python = str(self._programs / "python")
        return [python, "-m", "benchmarks.peers.produce", self._peer.module, word, str(count), task]

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


@contextmanager
def bench(peer: Peer, programs: Path) -> Iterator[Bench]:
    """A prepared peer, its server fresh, its workers not yet there."""
    with (
        tempfile.TemporaryDirectory(prefix="qmanager-bench.") as home,
        server(peer.server) as running,
        stamp_file() as path,
    ):
        here = Bench(peer, programs, running, Stamps(path), Path(home))
        here.prepare()
        yield here
