"""What the tests of the programs work with."""

from __future__ import annotations

import json
import pwd
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn, TypeAlias

import pytest

from qm.client import Client
from qm.ids import new_id
from qm.messages import Slot, TypeOptions, WorkerInfo
from qm.task import Failure, Lease


class Said(NamedTuple):
    """What a program gave and said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


class Hand:
    """A worker that does what a test tells it."""

    def __init__(self, client: Client, *types: str) -> None:
        self._client = client
        self._types = types
        self._lease: Lease | None = None
        self._slot = Slot(new_id(), 0, 0)
        info = WorkerInfo(
            session=self._slot.session,
            host="here",
            pid=1,
            processes=1,
            types={name: TypeOptions() for name in types},
        )
        client.attach(info)

    def take(self) -> Lease:
        """Leases a task; the one that `wait_for_one` got, if it did."""
        lease, self._lease = self._lease or self._take(), None
        return lease

    def _take(self, wait: float = 0) -> Lease:
        taken = self._client.take(self._slot, self._types, wait)
        assert taken is not None, "there is nothing to take"
        return taken.lease

    def wait_for_one(self) -> Hand:
        """Returns when there is a task to take, which the next verb settles."""
        self._lease = self._take(wait=30)
        return self

    def finish(self, output: Any) -> None:
        self._client.finish(self.take(), output)

    def fail(self, kind: str, message: str) -> None:
        self._client.fail(self.take(), Failure(kind, message), retryable=False)


#: Runs qmclient with these words.
Call: TypeAlias = Callable[..., Said]

#: Gives a program these bytes to read on stdin.
Stdin: TypeAlias = Callable[[bytes], None]


def make_homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a container's user, whom no file of users knows."""
    monkeypatch.delenv("QM_HOME", raising=False)
    monkeypatch.delenv("HOME", raising=False)

    def unknown(uid: int) -> NoReturn:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
