"""Where a peer's application finds its server. Needs nothing but Python."""

from __future__ import annotations

import os
from typing import Final

#: Set by the harness: host:port, or a folder.
VARIABLE: Final = "QM_BENCH_SERVER"


def address() -> tuple[str, int]:
    """Host and port of the server."""
    host, _, port = os.environ[VARIABLE].rpartition(":")
    return host, int(port)


def redis_url() -> str:
    """The same for clients that want a URL."""
    return f"redis://{os.environ[VARIABLE]}/0"


def folder() -> str:
    """A fresh folder, for peers that need no server."""
    return os.environ[VARIABLE]
