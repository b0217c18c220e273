"""The thread that keeps a pool's session alive, and finds out what is left of it after it was lost."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable

from qm.client import Client
from qm.clock import boottime
from qm.errors import QueueError, SessionLost, Unreachable
from qm.messages import WorkerInfo
from qm.task import Lease, State
from qm.worker import pauses
from qm.worker.page import Page

_log = logging.getLogger(__name__)


class Heartbeat(threading.Thread):
    """Renews the session by long polls, re-opens it when the manager has forgotten it, and writes into every
    child's page until when it lives, and at which of several managers. It is the one in the pool that chooses
    among them, by what its client does; the others follow. Runs until `stop`; the manager may be away for as
    long as it likes."""

    def __init__(
        self,
        client: Client,
        info: WorkerInfo,
        term: float,
        pages: Callable[[], Iterable[Page]],
        on_orders: Callable[[], None],
    ) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self._client = client
        self._info = info
        self._term = term
        self._pages = pages
        self._on_orders = on_orders
        #: The leases of ours that somebody cancelled and that hold, as the manager said last.
        self.cancelled: frozenset[Lease] = frozenset()
        #: The leases of ours that went to others while we were silent, of tasks that still run here.
        self.lost: frozenset[Lease] = frozenset()
        #: The session is open again, and what was lost of it is not yet known.
        self._unsure = False
        self._stopped = threading.Event()
        self.session_end = boottime() + term
        #: Where the session is attached, or will be in a moment: the manager's place among the addresses.
        self.manager = client.place
        client.when_moved(self._follow)

    def run(self) -> None:
        wait = self._term / 3
        while not self._stopped.is_set():
            try:
                if self._unsure:
                    self._find_lost()
                sent = boottime()
                orders = self._client.renew(self._info.session, wait, heard=[*self.cancelled])
                self._lives_until(sent + self._term)
                # one that was said several times, or that we slept through, gave us little of a term
                wait = self._term / 3 if boottime() < sent + self._term / 2 else 0.0
                self._hear(frozenset(orders.cancel))
            except SessionLost:
                self._attach()
            except QueueError as error:
                self._trouble(error)

    def stop(self) -> None:
        """Ends the thread once its call under way has ended."""
        self._stopped.set()

    def close(self) -> None:
        """Closes its connections, and ends its waiting for a manager that is away."""
        self._client.close()

    def _attach(self) -> None:
        sent = boottime()
        for page in self._pages():
            page.revoke()  # what a child holds and has not started belongs to others, most likely
        try:
            self._client.attach(self._info)
            self._unsure = True
            self._lives_until(sent + self._term)
            _log.info("the session is open again")
            self._find_lost()
        except QueueError as error:
            self._trouble(error)

    def _find_lost(self) -> None:
        """What runs here goes on where the manager still calls it ours, as one that knew only the session no
        more may do. What it gave to others must not have more effects."""
        running = {lease.id: lease for page in self._pages() if (lease := page.current()) is not None}
        ours = {
            (task.id, task.attempt)
            for task in self._client.get_many([*running])
            if task.state is State.RUNNING
        }
        self._unsure = False
        self.lost = frozenset(lease for lease in running.values() if (lease.id, lease.attempt) not in ours)
        if self.lost:
            self._on_orders()

    def _hear(self, cancelled: frozenset[Lease]) -> None:
        known, self.cancelled = self.cancelled, cancelled
        if cancelled - known:
            self._on_orders()

    def _trouble(self, error: QueueError) -> None:
        if self._stopped.is_set():
            return
        level = logging.WARNING if isinstance(error, Unreachable) else logging.ERROR
        _log.log(level, "the session could not be renewed, trying again: %s", error)
        self._stopped.wait(pauses.after(error))

    def _lives_until(self, moment: float) -> None:
        """Counted from when the answered call was sent: the manager's own term began later."""
        self.session_end = moment
        for page in self._pages():
            page.session_end = moment
        self._follow(self._client.place)

    def _follow(self, place: int) -> None:
        """The children go where we go: at once, since a renewal may wait there for long. Said again with each
        one, for a child that was just being started."""
        self.manager = place
        for page in self._pages():
            page.manager = place
