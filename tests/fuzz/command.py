"""Throws bytes at what reads bytes from others, guided by the code that they reach.

Usage:
  fuzz [SECONDS] [TARGET...]
  fuzz --help

SECONDS for each target (default 60). Targets: frames, envelopes, verbs, sqlite, answers, payloads, preview,
page (default: all). What it has learned stays in .fuzz/corpus, so that the next run goes on from there.
A find is kept in .fuzz/crashes; copy it to tests/fuzz/crashes/TARGET-NAME once it is mended, and the tests
repeat it.

Exits with 1 where something was found.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Final

from docopt import docopt

from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS

ROOT: Final = Path(__file__).parents[2]
HOME: Final = ROOT / ".fuzz"

#: A slow target learns from a fast one that is given the same.
_LEARNS_FROM: Final = {"sqlite": "verbs"}

#: Bytes of an input; what is longer finds nothing new, and more slowly.
_LENGTH: Final = 4096

#: Seconds after which an input counts as a hang.
_TIMEOUT: Final = 10

#: MiB of memory after which one counts as a flood.
_MEMORY: Final = 1024


def main(argv: list[str] | None = None) -> int:
    """See the usage above."""
    words = docopt(__doc__, argv)
    seconds = words["SECONDS"] or "60"
    names = words["TARGET"] or list(TARGETS)
    if not seconds.isdigit():
        names, seconds = [seconds, *words["TARGET"]], "60"
    if unknown := [name for name in names if name not in TARGETS]:
        print(f"fuzz: no target {unknown[0]!r}; there are {', '.join(TARGETS)}", file=sys.stderr)
        return 2
    failed = [name for name in names if not fuzz(name, int(seconds))]
    print(f"fuzz: {len(names)} targets, {seconds} s each; finds in: {', '.join(failed) or 'none'}")
    return 1 if failed else 0


def fuzz(name: str, seconds: int) -> bool:
    """Runs one target, and says whether it held."""
    corpus, crashes = HOME / "corpus" / name, HOME / "crashes"
    others = HOME / "corpus" / _LEARNS_FROM.get(name, name)
    for folder in (corpus, others, crashes):
        folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds(name):
        (corpus / f"seed-{hashlib.sha256(seed).hexdigest()[:16]}").write_bytes(seed)
    print(f"fuzz: {name}", flush=True)
    options = {
        "max_total_time": seconds,
        "max_len": _LENGTH,
        "timeout": _TIMEOUT,
        "rss_limit_mb": _MEMORY,
        "artifact_prefix": f"{crashes}/{name}-",
        "print_final_stats": 1,
        "verbosity": 0,
    }
    said = [f"-{option}={value}" for option, value in options.items()]
    command = [
        sys.executable,
        "-m",
        "tests.fuzz.run",
        name,
        *said,
        *map(str, dict.fromkeys((corpus, others))),
    ]
    return subprocess.run(command, cwd=ROOT).returncode == 0


if __name__ == "__main__":
    raise SystemExit(main())
