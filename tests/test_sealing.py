"""Sealing: what it binds a value to, what it lets nobody read, and how keys change."""

from __future__ import annotations

import base64
import subprocess
import sys
from typing import Any

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from qm.errors import BadPayload, BadRequest, Sealed
from qm.limits import LOG_MAX, SEALING_MAX
from qm.messages import NOTE_MAX, SEALED_NOTE_MAX
from qm.payload import is_sealed_text, pack, token_of, unopened, unpack
from qm.sealing import Keyring, PayloadKeys, Place, Purpose, new_key

OLD, NEW, OTHER = new_key(), new_key(), new_key()
INPUT = Place(Purpose.INPUT, "t-1", "mail")
OUTPUT = Place(Purpose.OUTPUT, "t-1", 2)
LOG = Place(Purpose.LOG, "t-1", 2)


def keyring(*keys: str, accept_plain: bool = False) -> Keyring:
    return Keyring(PayloadKeys(keys, accept_plain))


@given(st.binary() | st.text() | st.integers() | st.none())
def test_what_was_sealed_opens_and_shows_nothing(value: Any) -> None:
    packed = pack(value)
    sealed = keyring(NEW).seal(INPUT, packed)
    assert keyring(NEW).open(INPUT, sealed) == packed
    assert token_of(sealed) is not None
    if len(packed) > 3:
        assert packed not in sealed


def test_equal_values_do_not_look_equal() -> None:
    ring = keyring(NEW)
    assert ring.seal(INPUT, pack(1)) != ring.seal(INPUT, pack(1))


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (Place(Purpose.INPUT, "t-2", "mail"), "the input of task t-2 was sealed as the input of task t-1"),
        (Place(Purpose.INPUT, "t-1", "sms"), "sealed as the input of task t-1, type mail"),
        (Place(Purpose.OUTPUT, "t-1", 1), "the output of task t-1 was sealed as the input of task t-1"),
    ],
)
def test_what_was_moved_is_refused_and_says_from_where(place: Place, words: str) -> None:
    ring = keyring(NEW)
    opened = ring.open(place, ring.seal(INPUT, pack("secret")))
    with pytest.raises(BadPayload, match=words) as caught:
        unpack(opened)
    assert not isinstance(caught.value, Sealed)
    assert b"secret" not in opened


@pytest.mark.parametrize("purpose", list(Purpose)[1:])
def test_an_attempt_s_own_is_not_another_s(purpose: Purpose) -> None:
    ring = keyring(NEW)
    sealed = ring.seal(Place(purpose, "t", 2), pack(1))
    assert unpack(ring.open(Place(purpose, "t", 2), sealed)) == 1
    assert unpack(ring.open(Place(purpose, "t", range(1, 3)), sealed)) == 1
    for other in (1, 3, range(3, 9), range(1, 2), "2"):
        assert unopened(ring.open(Place(purpose, "t", other), sealed)) is not None


def test_every_flipped_bit_is_noticed() -> None:
    ring = keyring(NEW)
    sealed = bytearray(ring.seal(INPUT, pack("secret")))
    for bit in range(8 * len(sealed)):
        sealed[bit // 8] ^= 1 << bit % 8
        assert unopened(ring.open(INPUT, bytes(sealed))) is not None
        sealed[bit // 8] ^= 1 << bit % 8
    assert unpack(ring.open(INPUT, bytes(sealed))) == "secret"


@given(st.binary(max_size=300))
def test_whatever_a_manager_sends_is_refused_and_nothing_is_raised(packed: bytes) -> None:
    ring = keyring(NEW)
    assert unopened(ring.open(INPUT, packed)) is not None
    assert unopened(ring.open(INPUT, b"\xc7" + bytes([len(packed) % 256]) + b"\x02" + packed)) is not None


@pytest.mark.parametrize("inner", [b"", b"\xc1", pack([1, "t-1"]), pack("x"), pack([1, "t-1", None, 1])])
def test_what_another_program_made_with_the_same_key_is_refused(inner: bytes) -> None:
    token = base64.urlsafe_b64decode(Fernet(NEW).encrypt(inner))
    sealed = b"\xc7" + bytes([len(token)]) + b"\x02" + token
    assert "another program" in str(unopened(keyring(NEW).open(INPUT, sealed)))


def test_a_purpose_of_a_later_version_is_refused_in_words() -> None:
    token = base64.urlsafe_b64decode(Fernet(NEW).encrypt(pack([99, "t-1", "mail", 1])))
    sealed = b"\xc7" + bytes([len(token)]) + b"\x02" + token
    assert "something of task t-1" in str(unopened(keyring(NEW).open(INPUT, sealed)))


def test_what_is_not_sealed_is_refused_unless_it_is_accepted() -> None:
    with pytest.raises(BadPayload, match="not sealed, so anyone could have made it"):
        unpack(keyring(NEW).open(INPUT, pack(1)))
    assert unpack(keyring(NEW, accept_plain=True).open(INPUT, pack(1))) == 1


def test_the_newest_key_seals_and_any_opens() -> None:
    before, during, after = keyring(OLD), keyring(NEW, OLD), keyring(NEW)
    old, new = before.seal(INPUT, pack(1)), during.seal(INPUT, pack(1))
    assert during.open(INPUT, old) == during.open(INPUT, new) == after.open(INPUT, new) == pack(1)
    assert before.open(INPUT, new) == new and after.open(INPUT, old) == old, "stays sealed"
    with pytest.raises(Sealed):
        unpack(after.open(INPUT, old))


def test_a_digest_is_the_key_s_the_task_s_and_the_input_s_own() -> None:
    both = keyring(NEW, OLD)
    args = ("mail", "t-1", pack(1))
    assert (both.size, len(both.digest(0, *args))) == (2, 16)
    assert both.digest(0, *args) == keyring(NEW).digest(0, *args)
    assert both.digest(1, *args) == keyring(OLD).digest(0, *args)
    others = [
        both.digest(0, *args),
        both.digest(1, *args),
        both.digest(0, "sms", "t-1", pack(1)),
        both.digest(0, "mail", "t-2", pack(1)),
        both.digest(0, "mail", "t-1", pack(2)),
        both.digest(0, "mai", "lt-1", pack(1)),
    ]
    assert len(set(others)) == len(others)


@pytest.mark.parametrize(
    ("text", "most"),
    [("x" * LOG_MAX, LOG_MAX), ("ä" * LOG_MAX, LOG_MAX), ("a\ud800" * 100, LOG_MAX), ("short", LOG_MAX)],
)
def test_a_text_is_sealed_within_its_bound_and_its_end_stays(text: str, most: int) -> None:
    for id_ in ("t", "t" * 64):
        place = Place(Purpose.LOG, id_, 2**31)
        sealed = keyring(NEW).seal_text(place, text, most)
        assert len(sealed) <= most and is_sealed_text(sealed)
        opened = keyring(NEW).open_text(place, sealed)
        shown = text.encode("utf-8", "backslashreplace").decode()
        assert shown.endswith(opened) and len(opened.encode()) >= min(len(shown.encode()), 48_000)


def test_the_longest_note_is_sealed_whole() -> None:
    for character in ("x", "ä", "\U0001f600"):
        place = Place(Purpose.NOTE, "t" * 64, 2**40)
        sealed = keyring(NEW).seal_text(place, character * NOTE_MAX, SEALED_NOTE_MAX)
        assert len(sealed) <= SEALED_NOTE_MAX
        assert keyring(NEW).open_text(place, sealed) == character * NOTE_MAX


def test_a_text_that_was_moved_or_is_not_sealed_says_so() -> None:
    ring = keyring(NEW)
    sealed = ring.seal_text(LOG, "secret", LOG_MAX)
    assert ring.open_text(Place(Purpose.LOG, "t-2", 2), sealed).startswith("refused: the log of task t-2")
    assert keyring(OTHER).open_text(LOG, sealed) == sealed
    assert ring.open_text(LOG, "plain") == "(not sealed) plain"
    assert keyring(NEW, accept_plain=True).open_text(LOG, "plain") == "plain"
    assert ring.seal_text(LOG, "", LOG_MAX) == ring.open_text(LOG, "") == ""


def test_a_value_that_is_no_text_is_no_log() -> None:
    ring = keyring(NEW)
    token = base64.urlsafe_b64encode(token_of(ring.seal(LOG, pack(b"\xff" * 30))) or b"").decode()
    assert ring.open_text(LOG, f"sealed:{token}").startswith("refused: ")


def test_sealing_adds_no_more_than_is_said() -> None:
    ring = keyring(NEW)
    for size in (0, 15, 16, 128, 200, 70_000):
        for place in (
            INPUT,
            Place(Purpose.INPUT, "i" * 64, "t" * 64),
            Place(Purpose.OUTPUT, "i" * 64, 2**60),
        ):
            added = len(ring.seal(place, bytes(size))) - size
            assert 0 < added <= SEALING_MAX


@pytest.mark.parametrize(
    "bad",
    ["", "short", OLD[:-2], OLD + "AAAA", OLD + OLD, "ä" * 44, "x" * 43 + "\n"],
    ids=["empty", "short", "cut", "longer", "two", "foreign letters", "a line's end"],
)
def test_a_bad_key_is_named_by_its_place_and_not_shown(bad: str) -> None:
    with pytest.raises(BadRequest, match="payload key 2 of 2 is no Fernet key") as caught:
        keyring(NEW, bad)
    assert not bad or bad not in f"{caught.value} {caught.value.hint}"


def test_no_key_and_the_same_key_twice_are_refused() -> None:
    with pytest.raises(BadRequest, match="no payload key"):
        keyring()
    with pytest.raises(BadRequest, match="twice"):
        keyring(NEW, OLD, NEW)


def test_who_has_no_keys_does_not_load_the_cipher() -> None:
    """It would take longer than all the rest of a client."""
    code = "import sys, qm.sealing; sys.exit('cryptography' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_keys_are_not_printed() -> None:
    assert NEW not in repr(PayloadKeys((NEW,))) and NEW not in str(PayloadKeys((NEW,)))
