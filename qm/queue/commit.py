"""The one gate to the store's transactions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from qm.store.base import Store, Transaction

T = TypeVar("T")


class Commit:
    """Runs a step's work on the store as one transaction. When `run` returns, it is committed."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def run(self, work: Callable[[Transaction], T], *, sync: bool = True) -> T:
        """The answer of `work`, committed. `sync`: it must survive a power cut (see `Store.begin`).

        Raises what `work` raises, with nothing changed, and `NotCommitted` where the store could not commit.
        """
        with self._store.begin(sync=sync) as tx:
            return work(tx)
