"""How long to wait between two tries to reach the server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

#: Seconds: the first wait, which doubles up to the longest.
_SHORTEST: Final = 0.1
_LONGEST: Final = 5.0


def pauses() -> Iterator[float]:
    """The seconds to wait after each try that failed; without an end."""
    pause = _SHORTEST
    while True:
        yield pause
        pause = min(2 * pause, _LONGEST)
