"""Runs simulations: any number of seeds, or one of them again, word for word.

Usage:
  simulate [--seeds N] [--from SEED] [--store KIND] [--processes N]
  simulate --seed SEED [--store KIND]
  simulate --help

Options:
  --seeds N      How many worlds to run [default: 10000].
  --from SEED    The first of them [default: 0].
  --store KIND   memory or sqlite; both unless given, every third world on SQLite.
  --processes N  How many to run at a time; as many as there are processors unless given.
  --seed SEED    Runs this one alone and prints everything that happens in it.

Prints each seed in which a promise was broken, with the last of what happened there, and exits with 1 then.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Final

from docopt import docopt

from tests.simulation.ledger import Violation
from tests.simulation.simulation import Outcome, Simulation, simulate, storehouse

#: Worlds that a process runs at a time; and the lines of a trace that lead to a violation.
CHUNK: Final = 100
TAIL: Final = 40


def kind_of(seed: int) -> str:
    """The store of a seed that names none: a third goes through SQL, which takes three times as long."""
    return "sqlite" if seed % 3 == 0 else "memory"


def main(argv: list[str] | None = None) -> int:
    """See the usage above."""
    words = docopt(__doc__, argv)
    logging.disable(logging.CRITICAL)  # the manager has much to say about what is done to it
    kind = words["--store"]
    if words["--seed"] is not None:
        seed = int(words["--seed"])
        return 0 if replay(seed, kind or kind_of(seed)) else 1
    first = int(words["--from"])
    seeds = range(first, first + int(words["--seeds"]))
    return run(seeds, kind, int(words["--processes"] or os.cpu_count() or 1))


def run(seeds: range, kind: str | None, processes: int) -> int:
    """Runs many seeds; prints how it goes, and what fails."""
    began = time.monotonic()
    calls = runs = failed = 0
    chunks = [seeds[start : start + CHUNK] for start in range(0, len(seeds), CHUNK)]
    with ProcessPoolExecutor(processes) as pool:
        for done, outcomes in enumerate(pool.map(partial(_run_some, kind=kind), chunks), 1):
            for seed, outcome in outcomes:
                if isinstance(outcome, Outcome):
                    calls += outcome.calls
                    runs += outcome.runs
                else:
                    failed += 1
                    print(f"\n{outcome}")
                    replay(seed, kind or kind_of(seed), TAIL)
            worlds = min(done * CHUNK, len(seeds))
            print(f"\r{worlds:,} of {len(seeds):,} worlds, {failed} failed", end="", file=sys.stderr)
    print(file=sys.stderr)
    seconds = time.monotonic() - began
    print(f"{len(seeds):,} worlds, {calls:,} calls, {runs:,} runs of tasks, {seconds:.0f} s: {failed} failed")
    return 1 if failed else 0


def replay(seed: int, kind: str, tail: int | None = None) -> bool:
    """Runs a seed and prints what happens, or the last `tail` lines of it. Gives whether all was well."""
    with storehouse(kind) as house:
        simulation = Simulation(seed, house, traced=True)
        try:
            verdict = str(simulation.run())
            good = True
        except Exception as error:
            verdict = f"{type(error).__name__}: {error}"
            good = False
    trace = simulation.world.trace or []
    for line in trace[-tail:] if tail else trace:
        print(line)
    print(verdict)
    return good


def _run_some(seeds: range, kind: str | None) -> list[tuple[int, Outcome | str]]:
    return list(_outcomes(seeds, kind))


def _outcomes(seeds: range, kind: str | None) -> Iterator[tuple[int, Outcome | str]]:
    for seed in seeds:
        try:
            yield seed, simulate(seed, kind or kind_of(seed))
        except Violation as violation:
            yield seed, str(violation)


if __name__ == "__main__":
    sys.exit(main())
