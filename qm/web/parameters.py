"""What an address may ask for: each parameter once, known, and within its bounds. Else `BadRequest`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

from qm.errors import BadRequest
from qm.messages import ListQuery
from qm.task import ENDED, State, is_id, is_type

#: Tasks on one page of the list; fewer than `qm.limits.PAGE_MAX`: each has two previews.
LIMIT_MAX: Final = 200
LIMIT: Final = 50

#: What `state` says.
STATES: Final[Mapping[str, tuple[State, ...]]] = {
    "all": ENDED,
    "done": (State.DONE,),
    "failed": (State.FAILED,),
    "cancelled": (State.CANCELLED,),
    "running": (State.RUNNING,),
}

_CURSOR: Final = re.compile(r"[A-Za-z0-9_.+=-]{1,200}")
_FIELDS_MAX: Final = 16
_ATTEMPT_MAX: Final = 2**31


def none(query: str) -> None:
    """Where nothing can be asked for."""
    _read(query, ())


def list_query(query: str) -> ListQuery:
    """state, type, limit, cursor."""
    given = _read(query, ("state", "type", "limit", "cursor"))
    state = given.get("state", "all")
    if state not in STATES:
        raise BadRequest(f"state is one of {', '.join(STATES)}")
    type_ = given.get("type")
    if type_ is not None and not is_type(type_):
        raise BadRequest("type is 1 to 64 characters of A-Za-z0-9._:-")
    cursor = given.get("cursor")
    if cursor is not None and not _CURSOR.fullmatch(cursor):
        raise BadRequest("the cursor is not one that a list gave", hint="begin again without a cursor")
    limit = _whole(given, "limit", LIMIT_MAX)
    return ListQuery(states=STATES[state], type=type_, limit=LIMIT if limit is None else limit, cursor=cursor)


def before(query: str) -> int | None:
    """The attempt before which a task's story goes on."""
    return _whole(_read(query, ("before",)), "before", _ATTEMPT_MAX)


def task_id(text: str) -> str:
    """A task's id."""
    if not is_id(text):
        raise BadRequest("an id is 1 to 64 characters of A-Za-z0-9._:-")
    return text


def _read(query: str, known: tuple[str, ...]) -> dict[str, str]:
    try:
        fields = parse_qsl(query, keep_blank_values=True, max_num_fields=_FIELDS_MAX, errors="strict")
    except ValueError:
        raise BadRequest("the parameters cannot be read") from None
    given = dict(fields)
    if unknown := [name for name in given if name not in known]:
        hint = f"known here: {', '.join(known)}" if known else "there are none here"
        raise BadRequest(f"there is no parameter {unknown[0][:40]!a}", hint=hint)
    if len(given) < len(fields):
        raise BadRequest("each parameter is given once")
    return given


def _whole(given: Mapping[str, str], name: str, most: int) -> int | None:
    text = given.get(name)
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,10}", text) or not 1 <= int(text) <= most:
        raise BadRequest(f"{name} is a whole number from 1 to {most}")
    return int(text)
