"""Lists, page by page: each page goes on right after the last task of the one before."""

from __future__ import annotations

import base64
import heapq
from collections.abc import Iterator

import msgspec

from qm.errors import BadRequest
from qm.limits import BATCH_BYTES, PAGE_MAX
from qm.messages import ListQuery, PackedPage
from qm.store.memory.ordered import Place
from qm.store.memory.rows import Row
from qm.store.memory.tables import Tables
from qm.store.memory.view import carried, preview
from qm.task import ENDED, State


class _Cursor(msgspec.Struct, array_like=True):
    """The last task of a page: the first state of its group, and its place there."""

    group: State
    place: Place


def page(tables: Tables, query: ListQuery) -> PackedPage:
    """The page that `query` asks for. Raises `BadRequest` for a cursor that is not from such a list."""
    shown = PackedPage([])
    size = 0
    last: _Cursor | None = None
    for group, row in _rows(tables, query):
        task = preview(tables, row)
        size += carried(task)
        full = len(shown.tasks) >= min(query.limit, PAGE_MAX) or size > BATCH_BYTES
        if last and full:
            return PackedPage(shown.tasks, _write(last))
        shown.tasks.append(task)
        last = _Cursor(group, row.place())
    return shown


def _rows(tables: Tables, query: ListQuery) -> Iterator[tuple[State, Row]]:
    """The tasks after the query's cursor, each with the first state of its group."""
    groups = _groups(query.states)
    names = [*groups]
    start: Place | None = None
    if query.cursor is not None:
        cursor = _read(query.cursor)
        if cursor.group not in groups:
            raise BadRequest("the cursor belongs to another list", hint="begin again without a cursor")
        names = names[names.index(cursor.group) :]
        start = cursor.place
    for name in names:
        lines = [
            line
            for state in groups[name]
            for type_, line in tables.lines[state].items()
            if query.type in (None, type_)
        ]
        for place in heapq.merge(*(line.after(start) for line in lines)):
            yield name, tables.rows[place[2]]
        start = None


def _groups(states: tuple[State, ...]) -> dict[State, list[State]]:
    """The states by group, under the first of each: every state is a group, but the ended ones are one."""
    groups: dict[State, list[State]] = {}
    for state in dict.fromkeys(states):
        groups.setdefault(ENDED[0] if state in ENDED else state, []).append(state)
    return groups


def _write(cursor: _Cursor) -> str:
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(cursor)).decode()


def _read(text: str) -> _Cursor:
    try:
        return msgspec.msgpack.decode(base64.urlsafe_b64decode(text), type=_Cursor)
    except (ValueError, msgspec.MsgspecError):
        raise BadRequest("that is no cursor of a list", hint="pass on `next` of a page as it is") from None
