"""Hears from within that the manager cannot go on, and wakes who waits."""

from __future__ import annotations

import os
import weakref

from qm.errors import QueueError


class Broken:
    """What ends the manager from inside. `tell` may be called from any thread."""

    def __init__(self) -> None:
        #: Why; None while all is well.
        self.why: QueueError | None = None
        self._fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        weakref.finalize(self, os.close, self._fd)  # not sooner: a thread may still tell

    def fileno(self) -> int:
        """Readable once there is a reason to end."""
        return self._fd

    def tell(self, why: QueueError) -> None:
        """This is why it cannot go on."""
        self.why = why
        os.eventfd_write(self._fd, 1)
