"""Packing of inputs, outputs and errors: msgpack, made and read only by clients and workers.

The manager never decodes a payload: one nested message, decoded untyped, can exhaust a small C stack.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

import msgspec

from qm.errors import BadPayload, TooLarge
from qm.limits import MESSAGE_MAX, PAYLOAD_MAX, TRACEBACK_MAX
from qm.task import Failure

#: msgpack's integers have 64 bits; larger ones travel as this extension: two's complement, big-endian.
_BIG_INT: Final = 1

#: Enough to tell tasks apart (128 bits), small enough to keep beside every id for a day.
_DIGEST_SIZE: Final = 16

_encoder = msgspec.msgpack.Encoder()


def pack(value: Any) -> bytes:
    """`value` as msgpack.

    Raises `BadPayload` for what msgpack cannot carry, `TooLarge` over `qm.limits.PAYLOAD_MAX` bytes.
    """
    try:
        packed = _encode(value)
    except RecursionError:
        raise BadPayload("the value is nested too deeply, or contains itself") from None
    except (TypeError, ValueError, OverflowError) as error:
        raise BadPayload(f"the value cannot be packed: {error}") from None
    if len(packed) > PAYLOAD_MAX:
        raise TooLarge(
            f"the value has {len(packed):,} bytes packed, the limit is {PAYLOAD_MAX:,}",
            hint="put large data into a file or an object store and its address into the task",
        )
    return packed


def unpack(packed: bytes) -> Any:
    """The value in `packed`. Raises `BadPayload` where it is not msgpack of ours."""
    try:
        return _decoder.decode(packed)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise BadPayload(f"the payload cannot be read: {error}") from None


def digest(type_: str, packed: bytes) -> bytes:
    """What a repeated id is compared by: a hash over the type and the packed input."""
    return hashlib.blake2b(packed, digest_size=_DIGEST_SIZE, key=type_.encode()[:64]).digest()


def pack_failure(failure: Failure) -> bytes:
    """`failure` packed, its texts cut: the head of a message and the tail of a traceback stay."""
    return _encoder.encode(
        Failure(
            _clean(failure.type)[:100],
            _clean(failure.message)[:MESSAGE_MAX],
            _clean(failure.traceback)[-TRACEBACK_MAX:],
        )
    )


def unpack_failure(packed: bytes) -> Failure:
    """The failure in `packed`; unreadable bytes become a failure that says so: it is for people."""
    try:
        return _failure_decoder.decode(packed)
    except (msgspec.DecodeError, RecursionError, ValueError):
        return Failure("Unreadable", "the error's details cannot be read", "")


def _encode(value: Any) -> bytes:
    try:
        return _encoder.encode(value)
    except OverflowError:  # rare, so only then the value is walked
        return _encoder.encode(_widen(value))


def _widen(value: Any) -> Any:
    """`value` with integers beyond 64 bits as extensions."""
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        size = value.bit_length() // 8 + 1
        return msgspec.msgpack.Ext(_BIG_INT, value.to_bytes(size, "big", signed=True))
    if isinstance(value, dict):
        return {k: _widen(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_widen(v) for v in value]
    return value


def _extension(code: int, data: memoryview) -> Any:
    if code == _BIG_INT:
        return int.from_bytes(data, "big", signed=True)
    raise ValueError(f"unknown extension type {code}")


def _clean(text: str) -> str:
    """Lone surrogates cannot be encoded; an error's text must never be the next error."""
    return text.encode("utf-8", "backslashreplace").decode()


_decoder = msgspec.msgpack.Decoder(ext_hook=_extension)
_failure_decoder = msgspec.msgpack.Decoder(Failure)
