"""A pool's session at its manager: opened once, kept alive, closed, and what is reported under it."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from qm.client import Client
from qm.ids import new_id
from qm.messages import TypeOptions, WorkerInfo
from qm.task import Lease
from qm.worker.config import ChildConfig
from qm.worker.courier import Courier
from qm.worker.heartbeat import Heartbeat
from qm.worker.page import Page

#: Seconds to wait for a manager that is away, before the pool has ever reached one.
_FIRST_PATIENCE: Final = 5.0

#: ... and afterwards: it will come back.
_PATIENCE: Final = 365 * 86400.0

#: Seconds for the last reports to be heard when the pool leaves.
_FAREWELL: Final = 3.0


class Session:
    """Belongs to the pool's main thread; has threads of its own that call the manager."""

    def __init__(
        self,
        config: ChildConfig,
        processes: int,
        pages: Callable[[], Iterable[Page]],
        on_orders: Callable[[], None],
    ) -> None:
        """`pages`: those of all children. `on_orders`: called from another thread when `cancelled` or `lost`
        has more in it."""
        self._config = config
        self._processes = processes
        self._pages = pages
        self._on_orders = on_orders
        self._courier = Courier()
        #: What reports go over. The heartbeat has its own: it chooses the manager.
        self._client: Client | None = None
        self._heartbeat: Heartbeat | None = None
        self.id: Final = new_id()

    @property
    def is_open(self) -> bool:
        """Whether it was ever opened. From then on it is kept, or opened again."""
        return self._heartbeat is not None

    @property
    def end(self) -> float:
        """Until when it lives, by `qm.clock.boottime`. Once it is open only, as `manager`."""
        assert self._heartbeat is not None
        return self._heartbeat.session_end

    @property
    def manager(self) -> int:
        """The place among the addresses of the manager where it is."""
        assert self._heartbeat is not None
        return self._heartbeat.manager

    @property
    def cancelled(self) -> frozenset[Lease]:
        """Leases of ours that somebody cancelled and that hold, as the manager said last."""
        return self._heartbeat.cancelled if self._heartbeat is not None else frozenset()

    @property
    def lost(self) -> frozenset[Lease]:
        """Leases of ours that went to others while we were silent, of tasks that still run here."""
        return self._heartbeat.lost if self._heartbeat is not None else frozenset()

    def open(self, types: Mapping[str, TypeOptions]) -> None:
        """Says what we serve. Raises `Unreachable`, `AuthFailed` and others of `Client.attach`."""
        info = WorkerInfo(
            session=self.id,
            host=socket.gethostname(),
            pid=os.getpid(),
            processes=self._processes,
            types=dict(types),
        )
        self._courier.start()  # first: a session that nobody could keep, or report under, is not opened
        client = self._connect(_FIRST_PATIENCE)
        try:
            term = client.attach(info).term
            client.be_patient(_PATIENCE)
            heartbeat = Heartbeat(client, info, term, self._pages, self._on_orders)
            heartbeat.start()
        except BaseException:
            client.close()
            raise
        self._client = self._connect(_PATIENCE, lambda: heartbeat.manager)
        self._heartbeat = heartbeat

    def report(self, say: Callable[[Client], object]) -> None:
        """Has the manager told something, for as long as that takes, if we ever reached one."""
        client = self._client
        if client is not None:
            self._courier.send(lambda: say(client))

    def close(self) -> None:
        """Says the last reports and good-bye, if we ever reached a manager."""
        if self._heartbeat is None or self._client is None:
            return
        self._heartbeat.stop()
        self.report(lambda client: client.detach(self.id))
        self._courier.finish(_FAREWELL)
        self._client.close()
        self._heartbeat.close()

    def _connect(self, patience: float, follow: Callable[[], int] | None = None) -> Client:
        config = self._config
        return Client(
            config.addresses,
            config.authkey,
            tls=config.tls,
            patience=patience,
            payload_keys=config.payload_keys,
            follow=follow,
        )
