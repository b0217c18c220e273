"""Who a connection belongs to: the key that it proved, by name and role."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple


class Role(StrEnum):
    """What the holder of a key may call; `qm.wire.verbs` has the table."""

    #: Adds tasks and reads what came of them.
    CLIENT = "client"
    #: Takes tasks and settles them.
    WORKER = "worker"
    #: May call everything.
    OPERATOR = "operator"


#: The name of a key that stands in its file alone, without one.
DEFAULT: Final = "default"


class Key(NamedTuple):
    """A key that the manager knows. Its name is for logs and people, only the secret proves anything."""

    name: str
    role: Role
    secret: bytes

    def __repr__(self) -> str:
        """Without the secret: what is printed is kept, and read by others."""
        return f"Key({self.name}, {self.role})"
