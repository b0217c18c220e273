"""The envelope around a call and its answer. Typed, so that no peer chooses what is built from its bytes."""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct

from qm.errors import QueueError, TooLarge, by_code
from qm.limits import FRAME_MAX
from qm.wire.frames import WireError

T = TypeVar("T")


class Request(Struct, array_like=True, frozen=True):
    """One call: its number on this connection, the object, the verb, and the packed arguments."""

    rid: int
    object: str
    verb: str
    args: bytes


class Reply(Struct, array_like=True, frozen=True):
    """The answer to the call `rid`: the packed result, or a packed `Fault`."""

    rid: int
    ok: bool
    body: bytes


class Fault(Struct, array_like=True, frozen=True):
    """An error as it travels."""

    code: str
    message: str
    hint: str | None = None


_encoder: Final = msgspec.msgpack.Encoder()
_requests: Final = msgspec.msgpack.Decoder(Request)
_replies: Final = msgspec.msgpack.Decoder(Reply)
_faults: Final = msgspec.msgpack.Decoder(Fault)


def encode(value: Any) -> bytes:
    """`value` as msgpack."""
    return _encoder.encode(value)


def envelope(message: Request | Reply) -> bytes:
    """`message` as a frame. Raises `TooLarge`, and then nothing was sent: the connection stays good."""
    frame = _encoder.encode(message)
    if len(frame) > FRAME_MAX:
        raise TooLarge(f"{len(frame):,} bytes in one call, the limit is {FRAME_MAX:,}", hint="split it")
    return frame


def decode(decoder: msgspec.msgpack.Decoder[T], packed: bytes | memoryview) -> T:
    """What is packed. Raises `WireError` for whatever else a peer can send."""
    try:
        return decoder.decode(packed)
    except (ValueError, RecursionError) as error:  # also text that is not UTF-8, also nests of arrays
        raise WireError(str(error)) from None


def decode_request(frame: memoryview) -> Request:
    """Raises `WireError`."""
    return decode(_requests, frame)


def decode_reply(frame: memoryview) -> Reply:
    """Raises `WireError`."""
    return decode(_replies, frame)


def encode_error(error: QueueError) -> bytes:
    """An error as the body of a reply."""
    return _encoder.encode(Fault(error.code, str(error), error.hint))


def decode_error(body: bytes) -> QueueError:
    """The error in the body of a reply. Raises `WireError`."""
    fault = decode(_faults, body)
    return by_code(fault.code, fault.message, fault.hint)
