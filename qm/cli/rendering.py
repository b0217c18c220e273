"""Tasks and values as text: JSON, the original's lines, cells of a table."""

from __future__ import annotations

import base64
import json
import math
import re
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec.structs import asdict

from qm.errors import BadPayload
from qm.logs import printable
from qm.payload import Unopened
from qm.task import Failure, Task

#: Beyond ASCII's, which json escapes by itself: what a terminal could obey or show in another order.
_UNSAFE: Final = re.compile("[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")

#: Where a cell ends, a record ends, or an escape begins.
_BREAKS: Final = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


def fields_of(task: Task) -> dict[str, Any]:
    """All fields of a task by their names, ready for `to_json`."""
    fields = asdict(task)
    if isinstance(task.error, Failure):
        fields["error"] = asdict(task.error)
    return fields


def to_json(value: Any, indent: int | None = None) -> str:
    """`value` as JSON, safe to show.

    Integers are exact; bytes are base64, times ISO 8601, and the numbers that JSON does not have are texts,
    as NaN, Infinity and -Infinity. Raises `BadPayload` where it is nested too deeply.
    """
    try:
        text = json.dumps(_plain(value), ensure_ascii=False, indent=indent)
    except RecursionError:
        raise BadPayload("the value is nested too deeply to be printed") from None
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def bare(value: Any) -> str:
    """A text as it is, nothing as nothing, what is sealed as its size, anything else as JSON."""
    if value is None:
        return ""
    if isinstance(value, Unopened):
        return str(value)
    return value if isinstance(value, str) else to_json(value)


def cell(value: Any) -> str:
    """`value` in one line without tabs, as COPY of PostgreSQL writes it."""
    return printable(bare(value).translate(_BREAKS))


def original_line(task: Task) -> str:
    """A task as the original prints it."""
    shown = (task.id, task.type, printable(bare(task.input)), printable(bare(task.output)))
    return "Task ID: {}\tType: {}\tInput: {}\tOutput: {}".format(*shown)


def _key(key: Any) -> str:
    plain = _plain(key)
    return plain if isinstance(plain, str) else json.dumps(plain)


def _plain(value: Any) -> Any:
    """`value` with nothing but what JSON has."""
    if isinstance(value, dict):
        return {_key(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, msgspec.msgpack.Ext):
        return {"extension": value.code, "data": _plain(bytes(value.data))}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, msgspec.Struct):
        return _plain(asdict(value))
    return value
