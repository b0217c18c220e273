"""qmsimulator --chaos with another manager: the first argument is its file, the others are the usual ones."""

from __future__ import annotations

import sys
from functools import partial
from typing import Final

from qm.cli import chaos, qmsimulator
from qm.simulator.chaos import Chaos

#: The sessions' term of the managers here.
TERM: Final = 3.0

#: Seconds for the queue to drain. What a mutant has broken never ends.
DRAIN: Final = 6.0

if __name__ == "__main__":
    manager, *words = sys.argv[1:]
    chaos.Chaos = partial(Chaos, manager=(sys.executable, manager), term=TERM, drain=DRAIN)  # type: ignore[assignment, attr-defined]
    sys.exit(qmsimulator.main(words))
