"""Inputs and outputs that are made to go wrong: each is carried exactly, or refused where it is packed."""

from __future__ import annotations

import math
import struct
from datetime import datetime, timedelta, tzinfo
from typing import Any, Final

from msgspec.msgpack import Ext

from qm.limits import PAYLOAD_MAX


class BrokenZone(tzinfo):
    """A time zone whose own code fails, which a value's packing calls."""

    def utcoffset(self, moment: datetime | None) -> timedelta:
        raise RuntimeError("no offset")

    def dst(self, moment: datetime | None) -> timedelta | None:
        return None

    def tzname(self, moment: datetime | None) -> str | None:
        return None


def _cyclic() -> list[Any]:
    loop: list[Any] = []
    loop.append({"again": loop})
    return loop


def nested(depth: int) -> list[Any]:
    """Lists in one another."""
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


#: What comes back as it was.
CARRIED: Final[dict[str, Any]] = {
    "nothing": None,
    "an empty text": "",
    "empty bytes": b"",
    "an empty list": [],
    "an empty map": {},
    "NUL": "a\0b\0",
    "every control character": "".join(map(chr, range(160))),
    "text from right to left": "\u202egpj.exe",
    "the last character": "\U0010ffff",
    "NaN": float("nan"),
    "infinity": [float("inf"), float("-inf")],
    "minus zero": [-0.0, 0.0],
    "the smallest float": 5e-324,
    "2^63": [2**63 - 1, 2**63, -(2**63), -(2**63) - 1],
    "2^64": [2**64 - 1, 2**64, -(2**64)],
    "a large integer": [3**1000, -(3**1000)],
    "large integers in a map": {"a": [2**64, {"b": -(2**70)}]},
    "true and one": [True, 1, False, 0],
    "all bytes": bytes(range(256)),
    "bytes that are msgpack": b"\x81\xa1a\xc1",
    "1 MiB": bytes(PAYLOAD_MAX - 5),
    "1 MiB of text": "x" * (PAYLOAD_MAX - 5),
    "keys that are no text": {1: "a", None: "b", b"c": "d", 1.5: "e", (1, "x"): "f"},
    "keys that look alike": {"1": "text", 1: "number", b"1": "bytes"},
    "nested 100 deep": nested(100),
    "a wide map": {str(n): n for n in range(10_000)},
    "an extension": Ext(5, b"abc"),
    "a timestamp's code without its size": [Ext(42, bytes(8)), Ext(-2, bytes(4))],
}

#: What nothing is sent of.
REFUSED: Final[dict[str, Any]] = {
    "a lone surrogate": "\ud800",
    "a lone surrogate deep inside": [{"a": ["\udfff"]}],
    "a lone surrogate as a key": {"\ud800": 1},
    "a cycle": _cyclic(),
    "nested 10,000 deep": nested(10_000),
    "1 MiB and a byte": bytes(PAYLOAD_MAX - 4),
    "an object": object(),
    "a function": nested,
    "a generator": (n for n in range(3)),
    "a class": dict,
    "a complex number": 1j,
    "a large integer as a key": {2**64: 1},
    "a value whose own code fails": datetime(2020, 1, 1, tzinfo=BrokenZone()),
}


def same(one: Any, other: Any) -> bool:
    """Equal to the last bit: NaN is itself, and 0.0 is not -0.0."""
    if isinstance(one, float) and isinstance(other, float):
        return struct.pack("d", one) == struct.pack("d", other) or (math.isnan(one) and math.isnan(other))
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return same(list(one.items()), list(other.items()))
    if isinstance(one, tuple) and isinstance(other, tuple):
        return same(list(one), list(other))
    return type(one) is type(other) and bool(one == other)
