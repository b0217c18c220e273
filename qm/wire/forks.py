"""A fork waits until no thread is inside OpenSSL.

What all of OpenSSL's objects share is guarded by locks of its own. A fork in the moment in which another
thread holds one leaves it locked in the child for ever, and the child hangs in its first handshake. So
whoever calls OpenSSL says so, and a fork, of whatever the program does, comes before or after.
"""

from __future__ import annotations

import os
import threading
from typing import Final

#: Seconds after which a fork goes on all the same: it may be a signal's handler that interrupted such a call.
_PATIENCE: Final = 1.0


class Gate:
    """`with gate:` around calls of OpenSSL; they may be nested, and many threads may be inside."""

    def __init__(self) -> None:
        self._begin()
        os.register_at_fork(before=self._close, after_in_parent=self._open, after_in_child=self._begin)

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._idle.notify_all()

    def _begin(self) -> None:
        """Nobody is inside: also in a child, where there is one thread, and that was outside."""
        # A signal's handler can come in between. It may fork: then one thread takes it twice. Or it may
        # raise: so it is used itself, and not through the condition, whose Python could leave it taken.
        self._lock = threading.RLock()
        self._idle = threading.Condition(self._lock)
        self._inside = 0

    def _close(self) -> None:
        """Nobody is inside, and nobody comes in until `_open`."""
        self._lock.acquire()
        self._idle.wait_for(lambda: not self._inside, _PATIENCE)

    def _open(self) -> None:
        self._lock.release()


#: One for the process, as OpenSSL's locks are.
openssl: Final = Gate()
