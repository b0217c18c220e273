"""How long a worker waits before it says again what was refused."""

from __future__ import annotations

from typing import Final

from qm.errors import AuthFailed, NotAllowed, QueueError

#: Seconds until trouble that may pass by itself is tried again: a restart, a full disk.
SHORT: Final = 0.5

#: Seconds where somebody has to mend it: a key that was taken away or has another role. Until then each try
#: is a line in two logs.
LONG: Final = 10.0

#: What does not pass by itself.
LASTING: Final = (AuthFailed, NotAllowed)


def after(error: QueueError) -> float:
    """Seconds to wait after `error`."""
    return LONG if isinstance(error, LASTING) else SHORT
