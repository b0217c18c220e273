"""One target under atheris, in a process that it ends: python -m tests.fuzz.run TARGET [OPTION...]"""

from __future__ import annotations

import logging
import sys

import atheris

with atheris.instrument_imports(include=["qm", "bottle"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    """Never returns."""
    logging.disable(logging.CRITICAL)
    name = sys.argv.pop(1)
    atheris.Setup(sys.argv, TARGETS[name]())
    atheris.Fuzz()


if __name__ == "__main__":
    main()
