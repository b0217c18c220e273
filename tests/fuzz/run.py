"""One target under atheris, in a process that it ends: python -m tests.fuzz.run TARGET [OPTION...]"""

from __future__ import annotations

import logging
import sys

import atheris

with atheris.instrument_imports(include=["qm", "bottle"]):
    from tests.fuzz.targets import TARGETS, finish


def main() -> None:
    """Never returns."""
    logging.disable(logging.CRITICAL)
    target = TARGETS[sys.argv.pop(1)]()

    def run(data: bytes) -> None:
        try:
            target(data)
        except BaseException:
            finish(target)  # its threads would keep this process, and a find would look like a hang
            raise

    atheris.Setup(sys.argv, run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
