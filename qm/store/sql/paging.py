"""The order of a list, and the cursors that name a place in it.

A list goes state by state, each in its own order by an index of its own (ended states together, newest
first). A cursor holds the group and the keys of the last task given, so that nothing is skipped or repeated
while other tasks come and go.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from qm.errors import BadRequest
from qm.limits import PRIORITY_MAX
from qm.messages import ListQuery
from qm.store.sql.part import Connection, Row
from qm.task import ENDED

_FAR: Final = 2**62

#: For each group its query and the keys that lie before all of its tasks.
_GROUPS: Final = {
    "waiting": ("list_waiting", (float(PRIORITY_MAX), -1)),
    "scheduled": ("list_scheduled", (0.0, -1)),
    "blocked": ("list_blocked", (-1.0, 0)),
    "running": ("list_running", (-1.0, 0)),
    "ended": ("list_ended", (float(_FAR), _FAR)),
}


class Place(NamedTuple):
    """A task's place in a list."""

    n: int
    group: str
    first: float
    second: int

    def cursor(self) -> str:
        """The place as an opaque text."""
        return f"{self.group}_{self.first!r}_{self.second}"


def places(connection: Connection, query: ListQuery, types: Sequence[str], limit: int) -> Iterator[Place]:
    """The places of a list from its cursor on, at most `limit`."""
    groups = list(dict.fromkeys("ended" if s in ENDED else s.value for s in query.states))
    if not groups:
        return
    group, keys = _parse(query.cursor) if query.cursor else (groups[0], None)
    if group not in groups:
        raise BadRequest("the cursor belongs to another list")
    for name in groups[groups.index(group) :]:
        rows = _rows(connection, name, keys or _GROUPS[name][1], query, types, limit)
        keys = None
        for n, first, second in rows:
            yield Place(n, name, float(first), second)
        limit -= len(rows)
        if limit <= 0:
            return


def _rows(
    connection: Connection,
    group: str,
    keys: tuple[float, int],
    query: ListQuery,
    types: Sequence[str],
    limit: int,
) -> list[Row]:
    name, (first, second) = _GROUPS[group][0], keys
    if group == "waiting":
        return list(connection.iterate_rows(name, types, (int(first), second, limit))) if types else []
    if group == "scheduled":
        return connection.run(name, (first, second, query.type, limit))
    if group == "ended":
        states = [s.value for s in ENDED if s in query.states]
        wanted = (states * len(ENDED))[: len(ENDED)]  # three parameters, however many states are asked for
        behind = (first, second, *wanted, limit)
        return list(connection.iterate_rows(name, types, behind)) if types else []
    return connection.run(name, (int(first), query.type, limit))


def _parse(cursor: str) -> tuple[str, tuple[float, int]]:
    try:
        group, first, second = cursor.split("_")
        keys = float(first), int(second)
        if group not in _GROUPS or not abs(keys[0]) <= _FAR or not abs(keys[1]) <= _FAR:
            raise ValueError(cursor)
    except ValueError:
        raise BadRequest("the cursor is not one that a list gave") from None
    return group, keys
