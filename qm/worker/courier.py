"""The thread that reports what must be heard: dead children, and tasks taken back from them."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

from qm.errors import BadRequest, QueueError
from qm.worker import pauses

_log = logging.getLogger(__name__)


class Courier(threading.Thread):
    """Says reports in order, each until it is accepted, so that they outlive a restart of the manager."""

    def __init__(self) -> None:
        super().__init__(name="courier", daemon=True)
        self._reports: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._gave_up = threading.Event()
        self._finishing = threading.Event()

    def send(self, report: Callable[[], object]) -> None:
        """Will call `report` until it raises no `QueueError` that may pass."""
        self._reports.put(report)

    def run(self) -> None:
        while (report := self._reports.get()) is not None:
            self._deliver(report)

    def finish(self, seconds: float) -> None:
        """Delivers what is left, for `seconds` at most, and ends."""
        self._finishing.set()
        self._reports.put(None)
        self.join(seconds)
        self._gave_up.set()

    def _deliver(self, report: Callable[[], object]) -> None:
        while not self._gave_up.is_set():
            # read before: who is told to finish while a report fails tries once more at once, too
            finishing = self._finishing.is_set()
            try:
                report()
                return
            except QueueError as error:
                if isinstance(error, BadRequest) and not isinstance(error, pauses.LASTING):
                    _log.error("a report was refused: %s", error)  # and always will be
                    return
                if finishing and isinstance(error, pauses.LASTING):
                    _log.error("a report could not be delivered: %s", error)
                    return
                _log.warning("a report could not be delivered, trying again: %s", error)
                (self._gave_up if finishing else self._finishing).wait(pauses.after(error))
