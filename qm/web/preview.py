"""Payloads, as much of them as fits into a cell.

A payload is whatever some program packed, and may be made to hurt its readers. It is looked at before it is
decoded, decoded in a try, and shown with bounds; where that does not work, as hexadecimal digits.
"""

from __future__ import annotations

import reprlib
from typing import Final

import msgspec

from qm.limits import PREVIEW_MAX
from qm.payload import unopened, unpack, unpack_failure
from qm.task import Failure, PackedTask, State

#: Deeper values are not decoded: the decoder recurses, and a thread's stack may be small.
DEPTH_MAX: Final = 32

#: Bytes that are decoded of a payload which has a page to itself; looking at its depth takes milliseconds.
_FULL_MAX: Final = 32 * 1024

#: Bytes shown of what is not decoded.
_HEX_SHOWN: Final = 16

#: msgpack's heads beyond the short forms: for the first the bytes of their length, for the others all bytes.
_LENGTHS: Final = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xC7: 1, 0xC8: 2, 0xC9: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}
_ITEMS: Final = {0xDC: (2, 1), 0xDD: (4, 1), 0xDE: (2, 2), 0xDF: (4, 2)}
_SIZES: Final = dict(zip(range(0xCA, 0xD9), (5, 9, 2, 3, 5, 9, 2, 3, 5, 9, 3, 4, 6, 10, 18), strict=True))
_EXTENSIONS: Final = (0xC7, 0xC8, 0xC9)


def show_input(task: PackedTask, full: bool = False) -> str:
    """The task's input; `full`: with more of its items than fit into a cell."""
    return _show(task.input, task.input_size, full)


def show_output(task: PackedTask, full: bool = False) -> str:
    """A done task's output."""
    return _show(task.output or b"", task.output_size, full)


def show_error(packed: bytes) -> Failure:
    """What went wrong in an attempt; of what cannot be read, the first bytes."""
    return Failure("Unreadable", _hex(packed)) if is_deep(packed) else unpack_failure(packed)


def show_outcome(task: PackedTask) -> str:
    """What became of an ended task: its output, or why it has none."""
    if task.state is State.DONE:
        return show_output(task)
    if not task.error:
        return f"{task.state.value}: {task.reason}" if task.reason else task.state.value
    reason = f" ({task.reason})" if task.reason else ""
    return f"{task.state.value}: {_show_error(task.error)}{reason}"


def is_deep(packed: bytes, limit: int = DEPTH_MAX) -> bool:
    """Whether arrays and maps nest deeper than `limit`. Does not recurse; bytes that are no msgpack are not
    deep."""
    at = 0
    missing: list[int] = []  # items that each open array or map still lacks
    while at < len(packed):
        items, size = _head(packed, at)
        at += size
        if items:
            missing.append(items)
            if len(missing) > limit:
                return True
            continue
        while missing and missing[-1] == 1:
            missing.pop()
        if not missing:
            return False
        missing[-1] -= 1
    return False


def _head(packed: bytes, at: int) -> tuple[int, int]:
    """How many items begin here, and how many bytes it takes to get to the first, or past a value."""
    head = packed[at]
    if head <= 0x7F or head >= 0xE0:
        return 0, 1
    if head <= 0x9F:
        return (head & 0x0F) * (2 if head <= 0x8F else 1), 1
    if head <= 0xBF:
        return 0, 1 + (head & 0x1F)
    if head in _ITEMS:
        width, factor = _ITEMS[head]
        return factor * _number(packed, at + 1, width), 1 + width
    if head in _LENGTHS:
        width = _LENGTHS[head]
        return 0, 1 + width + (head in _EXTENSIONS) + _number(packed, at + 1, width)
    return 0, _SIZES.get(head, 1)


def _number(packed: bytes, at: int, width: int) -> int:
    return int.from_bytes(packed[at : at + width], "big")


def _show(packed: bytes, size: int, full: bool = False) -> str:
    if size > len(packed) or len(packed) > (_FULL_MAX if full else PREVIEW_MAX):
        return f"({max(size, len(packed)):,} bytes)"
    if (sealed := unopened(packed)) is not None:
        return str(sealed)
    if is_deep(packed):
        return _hex(packed)
    try:
        value = unpack(packed)
        return value if isinstance(value, str) else (_long if full else _short).repr(value)
    except Exception:  # whatever somebody packed, the page goes on
        return _hex(packed)


def _show_error(packed: bytes) -> str:
    if (sealed := unopened(packed)) is not None:
        return str(sealed)
    return _hex(packed) if is_deep(packed) else str(unpack_failure(packed))


def _hex(packed: bytes) -> str:
    return f"0x{packed[:_HEX_SHOWN].hex()}{'…' if len(packed) > _HEX_SHOWN else ''}"


class _Repr(reprlib.Repr):
    def repr_Ext(self, value: msgspec.msgpack.Ext, level: int) -> str:
        return f"Ext({value.code}, {len(bytes(value.data)):,} bytes)"


_short = _Repr()
_short.maxlevel = 4
_short.maxdict = _short.maxlist = _short.maxtuple = 8
_short.maxstring = _short.maxlong = _short.maxother = 60

_long = reprlib.Repr()
_long.maxlevel = DEPTH_MAX
_long.maxdict = _long.maxlist = _long.maxtuple = 100
_long.maxstring = _long.maxlong = _long.maxother = 1000
