"""The named queries with the types of their parameters, and values as PostgreSQL reads them in binary.

A batch travels as one array per column. psycopg would write arrays as text, element by element; a queue's are
four kinds, known beforehand, and packed whole: a tenth of the time.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final, TypeAlias

import psycopg
from psycopg.adapt import Buffer, Dumper
from psycopg.pq import Format

from qm.store.sql import queries

_PARAMETER: Final = re.compile(r"\$(\d+)::(\w+(?:\[\])?)")

#: A statement behind its WITH: what begins a line.
_MAIN: Final = re.compile(r"^(?:SELECT|INSERT|UPDATE|DELETE)\b.*", re.MULTILINE | re.DOTALL)


class Parameter:
    """A value in binary, None for NULL. Its subclasses are the types."""

    oid = 0

    __slots__ = ("data",)

    def __init__(self, data: bytes | None) -> None:
        self.data = data


Encoder: TypeAlias = Callable[[Any], Parameter]


class Statement:
    """One named query: its text, and what makes parameters of its values."""

    def __init__(self, text: str) -> None:
        types = {int(number): type_ for number, type_ in _PARAMETER.findall(text)}
        if sorted(types) != list(range(1, len(types) + 1)):
            raise ValueError(f"a parameter is not cast where it first stands: {text}")
        self.text = text.encode()
        #: Whether it gives rows; else its success is all that there is to know.
        self.answers = _answers(text)
        self._encoders = [_ENCODERS[types[number]] for number in sorted(types)]

    def parameters(self, values: Sequence[Any]) -> list[Parameter]:
        """`values` in binary. Raises `OverflowError` for an integer of more than 64 bits."""
        return [encode(value) for encode, value in zip(self._encoders, values, strict=True)]


def _answers(text: str) -> bool:
    main = _MAIN.search(text)
    if main is None:
        raise ValueError(f"no line begins with the statement: {text}")
    return main.group().startswith("SELECT") or "RETURNING" in main.group()


@lru_cache
def statements() -> dict[str, Statement]:
    """The named queries of PostgreSQL."""
    return {name: Statement(query.text()) for name, query in queries("postgres").items()}


def register(db: psycopg.Connection[Any]) -> None:
    """Teaches a connection to send parameters."""
    for kind in Parameter.__subclasses__():
        db.adapters.register_dumper(kind, _dumper(kind.oid))


@lru_cache
def _dumper(type_oid: int) -> type[Dumper]:
    class Binary(Dumper):
        format = Format.BINARY
        oid = type_oid

        def dump(self, obj: Parameter) -> Buffer | None:
            return obj.data

    return Binary


def _text(value: str) -> bytes:
    """PostgreSQL keeps no NUL in a text; a task's last words may have one, so the sign for it stands
    there."""
    return value.replace("\0", "\u2400").encode()


def _flag(value: bool) -> bytes:
    return b"\1" if value else b"\0"


def _bytes(value: bytes) -> bytes:
    return value


def _scalar(type_oid: int, pack: Callable[[Any], bytes]) -> Encoder:
    class Scalar(Parameter):
        oid = type_oid

    def encode(value: Any) -> Parameter:
        try:
            return Scalar(None if value is None else pack(value))
        except struct.error as error:
            raise OverflowError(str(error)) from None

    return encode


def _array(type_oid: int, element: int, pack: Callable[[Any], bytes]) -> Encoder:
    class Array(Parameter):
        oid = type_oid

    head = struct.Struct(">iiIii").pack
    length = struct.Struct(">i").pack
    null, empty = length(-1), struct.pack(">iiI", 0, 0, element)

    def encode(values: Sequence[Any]) -> Parameter:
        if not values:
            return Array(empty)
        first, many = values[0], len(values)
        same = values.count(first) == many  # as most columns of most batches are
        parts = [head(1, 1, element, many, 1)]
        try:
            for value in (first,) if same else values:
                if value is None:
                    parts.append(null)
                else:
                    data = pack(value)
                    parts += (length(len(data)), data)
        except struct.error as error:
            raise OverflowError(str(error)) from None
        if same:
            parts[1:] = [b"".join(parts[1:]) * many]
        return Array(b"".join(parts))

    return encode


_long, _double = struct.Struct(">q").pack, struct.Struct(">d").pack

#: By the name of the type, with the numbers that PostgreSQL has for it.
_ENCODERS: Final[dict[str, Encoder]] = {
    "text": _scalar(25, _text),
    "bigint": _scalar(20, _long),
    "float8": _scalar(701, _double),
    "bytea": _scalar(17, _bytes),
    "boolean": _scalar(16, _flag),
    "text[]": _array(1009, 25, _text),
    "bigint[]": _array(1016, 20, _long),
    "float8[]": _array(1022, 701, _double),
    "bytea[]": _array(1001, 17, _bytes),
}
