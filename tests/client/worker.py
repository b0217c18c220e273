"""A worker that does what a test says."""

from __future__ import annotations

from typing import Any

from qm.client import Client
from qm.ids import new_id
from qm.messages import Slot, TypeOptions, WorkerInfo
from qm.task import Failure, Lease

FAILURE = Failure("ValueError", "no", "Traceback ...")


class Worker:
    """A worker that does what a test says."""

    def __init__(self, client: Client, *types: str) -> None:
        self._client = client
        self._types = types or ("mail",)
        self.session = new_id()
        options = dict.fromkeys(self._types, TypeOptions())
        client.attach(WorkerInfo(session=self.session, host="alpha", pid=4711, processes=1, types=options))
        self._holding: list[Lease] = []

    def take(self) -> Lease:
        taken = self._client.take(Slot(self.session, 0, 0), self._types, holding=self._holding)
        assert taken is not None
        self._holding.append(taken.lease)
        return taken.lease

    def finish(self, output: Any = None) -> None:
        self._client.finish(self.take(), output)

    def fail(self) -> None:
        self._client.fail(self.take(), FAILURE, retryable=False)
