"""Packing: what goes in comes out as it was, or is refused where it went in."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.msgpack import Ext

from qm.errors import BadPayload, Sealed, TooLarge
from qm.limits import PAYLOAD_MAX, SEALING_MAX
from qm.payload import (
    fits_sealed,
    is_sealed_text,
    pack,
    refuse,
    show_text,
    token_of,
    unopened,
    unpack,
    unpack_failure,
    wrap,
)
from tests.poison import CARRIED, REFUSED, same


@pytest.mark.parametrize("value", CARRIED.values(), ids=CARRIED)
def test_what_can_be_carried_comes_back_as_it_was(value: Any) -> None:
    assert same(unpack(pack(value)), value)


@pytest.mark.parametrize("value", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_carried_is_refused_in_words(value: Any) -> None:
    with pytest.raises((BadPayload, TooLarge)) as caught:
        pack(value)
    assert str(caught.value).startswith("the value ")


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(packed: bytes) -> None:
    with suppress(BadPayload):
        unpack(packed)
    unopened(packed)
    assert unpack_failure(packed).type


@given(st.binary(max_size=70_000))
def test_a_token_is_recognised_whatever_its_size(token: bytes) -> None:
    packed = wrap(token)
    assert token_of(packed) == token
    assert token_of(packed + b"\0") is None and token_of(packed[:-1]) is None


def test_who_has_no_key_is_told_what_to_do() -> None:
    packed = wrap(bytes(100))
    for value in (packed, b"\x91" + packed):  # also inside of another value
        with pytest.raises(Sealed) as caught:
            unpack(value)
        assert caught.value.code == "sealed"
        assert "QM_PAYLOAD_KEYS" in (caught.value.hint or "")


def test_what_is_sealed_or_refused_is_shown_as_that() -> None:
    sealed, refused = unopened(wrap(bytes(1000))), unopened(refuse("it was moved"))
    assert sealed is not None and refused is not None
    assert (str(sealed), sealed.sealed) == ("sealed (1,004 bytes)", True)
    assert (str(refused), refused.sealed) == ("refused: it was moved", False)
    assert type(sealed.error()) is Sealed and type(refused.error()) is BadPayload
    assert unopened(pack("sealed")) is None and unopened(b"") is None
    assert str(unpack_failure(wrap(bytes(1000)))).startswith("Sealed: the error's details are sealed (1,004 ")
    assert str(unpack_failure(refuse("x"))) == "Refused: the error's details are refused: x"
    assert unpack_failure(b"\xc1").type == "Unreadable"


def test_a_refused_payload_says_why() -> None:
    with pytest.raises(BadPayload, match="it was moved") as caught:
        unpack(refuse("it was moved \ud800"))
    assert not isinstance(caught.value, Sealed)


def test_only_what_is_sealed_may_be_larger_than_the_bound() -> None:
    assert fits_sealed(wrap(bytes(PAYLOAD_MAX + SEALING_MAX - 6)))
    assert not fits_sealed(wrap(bytes(PAYLOAD_MAX + SEALING_MAX - 5)))
    assert not fits_sealed(bytes(PAYLOAD_MAX))


@pytest.mark.parametrize(
    "text", ["sealed:", "sealed: I said", "sealed:gAAAAABk", "", "x" + "sealed:gAAAA" + "A" * 95]
)
def test_a_text_that_speaks_of_seals_is_not_sealed(text: str) -> None:
    assert not is_sealed_text(text)
    assert show_text(text) == text


@pytest.mark.parametrize(
    "packed",
    [
        b"\x91" * 10_000 + b"\xc0",
        b"\x81\xc0" * 1_000_000,
        b"\x81\x80\x01",
        b"\x81\xd4\x05x\x01",
        b"\xdd\xff\xff\xff\xff",
        b"\xd4\xffx",
        b"\xc7\x0c\xff" + b"\xff" * 12,
        b"\xa1\xff",
    ],
    ids=[
        "deep",
        "deeper",
        "a map as a key",
        "an extension as a key",
        "a long list of nothing",
        "a short time",
        "a time of too many nanoseconds",
        "no UTF-8",
    ],
)
def test_what_a_foreign_client_can_send_is_refused_in_words(packed: bytes) -> None:
    with pytest.raises(BadPayload, match="the payload cannot be read"):
        unpack(packed)


def test_of_keys_that_come_twice_the_last_counts() -> None:
    assert unpack(b"\x82\xa1a\x01\xa1a\x02") == {"a": 2}


def test_a_foreign_extension_stays_one() -> None:
    assert unpack(pack([Ext(5, b"abc"), Ext(-7, b"")])) == [Ext(5, b"abc"), Ext(-7, b"")]
