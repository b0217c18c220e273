"""Envelopes: whatever a peer sends becomes what was agreed, or a `WireError`."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qm import errors
from qm.errors import BadRequest, QueueError, TooLarge, by_code
from qm.limits import FRAME_MAX
from qm.wire.codec import (
    Fault,
    Reply,
    Request,
    decode_error,
    decode_reply,
    decode_request,
    encode,
    encode_error,
    envelope,
)
from qm.wire.frames import WireError

REQUEST = encode(Request(7, "queue", "add", b"args"))
KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, QueueError)]

#: What is not to be taken apart by recursion: arrays, and maps, in each other and beyond what we know.
NESTS = [
    pytest.param(b"\x91" * 1_000_000, id="arrays"),
    pytest.param(b"\x81\x01" * 1_000_000, id="maps"),
    pytest.param(b"\x95" + REQUEST[1:] + b"\x91" * 1_000_000, id="arrays after the last field"),
    pytest.param(b"\x95" + REQUEST[1:] + b"\x81\x01" * 1_000_000, id="maps after the last field"),
]


def decoders() -> list[Callable[[Any], Any]]:
    return [decode_request, decode_reply, decode_error]


@pytest.mark.parametrize("decode", decoders())
@given(frame=st.binary(max_size=200))
@example(frame=b"")
@example(frame=b"\x94\x01\xa1\xff\xa1b\xc4\x00")  # text that is not UTF-8
@example(frame=REQUEST + b"x")
@example(frame=b"\xdd\xff\xff\xff\xff")
def test_bytes_become_what_was_agreed_or_a_wire_error(decode: Callable[[Any], Any], frame: bytes) -> None:
    """Row 1: there is no third thing that bytes can do."""
    try:
        decoded = decode(memoryview(frame))
    except WireError:
        return
    assert isinstance(decoded, (Request, Reply, QueueError))


@given(st.integers(0, len(REQUEST) - 1), st.integers(0, 255))
def test_a_request_with_one_wrong_byte_is_a_request_or_a_wire_error(place: int, byte: int) -> None:
    frame = bytearray(REQUEST)
    frame[place] = byte
    try:
        request = decode_request(memoryview(bytes(frame)))
    except WireError:
        return
    kinds: list[type] = [type(value) for value in msgspec.structs.astuple(request)]
    assert kinds == [int, str, str, bytes]


@pytest.mark.parametrize("nest", NESTS)
@pytest.mark.parametrize("decode", decoders())
def test_a_nest_is_a_wire_error(decode: Callable[[Any], Any], nest: bytes) -> None:
    """Decoded untyped in a small stack it would be a SIGSEGV."""
    with pytest.raises(WireError):
        decode(memoryview(nest))


def test_a_pickle_is_a_wire_error() -> None:
    """Row 1."""
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(WireError):
            decode_request(memoryview(pickle.dumps(Request(7, "queue", "add", b""), protocol)))


def test_what_a_newer_peer_adds_to_an_envelope_is_left_aside() -> None:
    frame = msgspec.msgpack.encode([7, "queue", "add", b"args", {"trace": "abc"}, 5])
    assert decode_request(memoryview(frame)) == Request(7, "queue", "add", b"args")


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_arrives_as_what_it_was(kind: type[QueueError]) -> None:
    """Row 18: by its code, never as a class that the peer names."""
    error = kind("what happened: ünïcode")
    error.hint = "what to do"
    arrived = decode_error(encode_error(error))
    assert type(arrived) is kind
    assert (str(arrived), arrived.hint) == (str(error), error.hint)


def test_an_error_travels_as_code_text_and_hint_and_nothing_else() -> None:
    """Row 18."""
    packed = encode_error(BadRequest("text", "hint"))
    assert msgspec.msgpack.decode(packed) == ["bad_request", "text", "hint"]


@pytest.mark.parametrize("code", ["", "os.system", "internal ", "builtins.SystemExit", "from_next_year"])
def test_a_code_that_we_do_not_know_is_a_plain_error(code: str) -> None:
    """Row 18: no code brings a class to life that is not in the tree of `qm.errors`."""
    arrived = decode_error(encode(Fault(code, "text")))
    assert type(arrived) is QueueError and str(arrived) == "text"
    assert type(by_code(code, "text")) is QueueError


def test_a_message_over_the_frame_limit_is_refused_before_it_is_sent() -> None:
    body = bytes(FRAME_MAX - 16)
    assert len(envelope(Reply(2**64 - 1, True, body))) <= FRAME_MAX
    with pytest.raises(TooLarge, match=f"the limit is {FRAME_MAX:,}"):
        envelope(Reply(1, True, bytes(FRAME_MAX)))
