"""A worker process of a peer that has none of its own: python -m benchmarks.peers.work NAME"""

from __future__ import annotations

import importlib
import sys

if __name__ == "__main__":
    importlib.import_module(f"benchmarks.peers.{sys.argv[1]}").work()
