"""A store under test beside the model: the same words, with its own leases."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from qm.errors import BadRequest, WrongState
from qm.messages import ListQuery
from qm.task import Lease, PackedTask


class Side:
    """A store under test, with the names that the model's leases have in it."""

    def __init__(self, open_store: Callable[[], Any]) -> None:
        self._open = open_store
        self.store = open_store()
        self.desk = self.store
        self._real: dict[Lease, Lease] = {}
        self._plain: dict[Lease, Lease] = {}

    def reopen(self) -> None:
        """Closes the store and opens it again."""
        self.store.close()
        self.desk = self.store = self._open()

    def learn(self, plain: Sequence[Any], real: Sequence[Any]) -> None:
        """Pairs the leases of two answers to the same take."""
        for mine, theirs in zip(plain, real, strict=True):
            self._real[mine.lease] = theirs.lease
            self._plain[theirs.lease] = mine.lease

    def whole(self, query: ListQuery) -> list[PackedTask]:
        """A list, page by page to its end."""
        page = self.desk.list(query)
        tasks = [*page.tasks]
        while page.next is not None:
            page = self.desk.list(replace(query, cursor=page.next))
            tasks += page.tasks
        return tasks

    def real(self, value: Any) -> Any:
        """`value` with the model's leases as they are called here."""
        return renamed(value, self._real)

    def plain(self, value: Any) -> Any:
        """`value` with the leases as the model calls them."""
        return renamed(value, self._plain)


def renamed(value: Any, names: dict[Lease, Lease]) -> Any:
    """`value` with every lease in it as `names` has it."""
    if isinstance(value, Lease):
        return names.get(value, value)
    if isinstance(value, (list, tuple)):
        return [renamed(item, names) for item in value]
    if isinstance(value, Struct) and hasattr(value, "lease"):
        return replace(value, lease=renamed(value.lease, names))
    return value


def answer(desk: Any, verb: str, args: Sequence[Any]) -> Any:
    """What the verb gives, or the kind of error it raises."""
    try:
        return getattr(desk, verb)(*args)
    except (BadRequest, WrongState) as error:
        return type(error)
