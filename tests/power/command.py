"""Records what a store writes, cuts the power at random moments of it, and counts what is lost.

Usage:
  powercuts [--cuts N] [--from SEED]
  powercuts --help

Options:
  --cuts N     Cuts at each durability [default: 3000].
  --from SEED  The first of their seeds [default: 0].

Exits with 1 where full durability has lost something, or a file is damaged; and where relaxed durability has
lost nothing, since then the cuts prove nothing.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from docopt import docopt

from qm.store import Durability
from tests.power.cuts import Finding, cut, first_acknowledged
from tests.power.workload import record

#: Cuts of one record; the next ones get a record of their own, in which the threads meet otherwise.
CUTS_A_RECORD: Final = 300


def main(argv: list[str] | None = None) -> int:
    """See the usage above."""
    words = docopt(__doc__, argv)
    logging.disable(logging.CRITICAL)
    first = int(words["--from"])
    seeds = range(first, first + int(words["--cuts"]))
    full, relaxed = run(seeds, "full"), run(seeds, "relaxed")
    damaged = any(finding.damage for finding in [*full, *relaxed])
    lost = any(finding.lost for finding in full)
    blind = not any(finding.lost for finding in relaxed)
    return 1 if damaged or lost or blind else 0


def run(seeds: range, durability: Durability) -> list[Finding]:
    """Cuts, and prints what they did."""
    found: list[Finding] = []
    for start in range(0, len(seeds), CUTS_A_RECORD):
        with TemporaryDirectory() as folder:
            events = record(Path(folder), durability)
        earliest = first_acknowledged(events)
        for seed in seeds[start : start + CUTS_A_RECORD]:
            finding = cut(events, seed, earliest)
            found.append(finding)
            if finding.damage or (finding.lost and durability == "full"):
                print(f"seed {seed}: lost {finding.lost}, damage {finding.damage}")
    acknowledged = sum(finding.acknowledged for finding in found)
    lost = sum(len(finding.lost) for finding in found)
    losing = sum(bool(finding.lost) for finding in found)
    damaged = sum(bool(finding.damage) for finding in found)
    print(
        f"{durability}: {len(found):,} cuts, {acknowledged:,} acknowledgements before them, {lost:,} lost "
        f"in {losing:,} cuts, {damaged} files damaged"
    )
    return found


if __name__ == "__main__":
    sys.exit(main())
