"""qmsimulator --chaos with another manager: the first argument is its file, the others are the usual ones."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Final

from qm.cli import chaos, qmsimulator
from qm.simulator.chaos import Chaos

#: The term of the managers' sessions here, and of managers that share a store.
TERM: Final = 3.0

#: Seconds for the queue to drain. What a mutant has broken never ends; where nothing is, a busy machine may
#: take its time.
DRAIN: Final = 6.0
PATIENT: Final = 60.0

if __name__ == "__main__":
    manager, *words = sys.argv[1:]
    chaos.Chaos = partial(  # type: ignore[assignment, attr-defined]
        Chaos,
        manager=(sys.executable, manager),
        term=TERM,
        manager_term=TERM,
        drain=PATIENT if Path(manager).stem == "sharing" else DRAIN,
    )
    sys.exit(qmsimulator.main(words))
