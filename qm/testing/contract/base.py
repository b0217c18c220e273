"""The fixtures that every part of the contract uses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import ClassVar, Protocol

import pytest

from qm.store.base import Reader, Store, Verbs


class Desk(Reader, Verbs, Protocol):
    """Where verbs can be said: a store, or a transaction of it."""


class ContractBase:
    """What a subclass says of its store, and what it must bring."""

    #: Whether tasks outlive `close()`. Then `reopen` is needed.
    durable: ClassVar[bool] = False

    @pytest.fixture
    def store(self) -> Iterator[Store]:
        """An empty store, closed at the end. The subclass brings it."""
        raise pytest.UsageError(f"{type(self).__name__} must have a fixture `store` with an empty store")

    @pytest.fixture
    def reopen(self) -> Callable[[], Store]:
        """Opens the place of `store` once more, after it was closed. A durable store's subclass brings it."""
        if self.durable:
            raise pytest.UsageError(f"{type(self).__name__} is durable and must have a fixture `reopen`")
        pytest.skip("this store keeps nothing")

    @pytest.fixture(params=["alone", "in a transaction"])
    def verbs(self, request: pytest.FixtureRequest, store: Store) -> Iterator[Desk]:
        """The store itself, and then once more a transaction of it, which is committed at the end."""
        if request.param == "alone":
            yield store
        else:
            with store.begin() as transaction:
                yield transaction
