from __future__ import annotations

import bcrypt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qm.errors import NonRetryable
from qm.operations.encoder import BYTES_MAX, COST_DEFAULT, COST_MAX, COST_MIN, encoder


def _cheap(text: object) -> str:
    return encoder({"text": text, "cost": COST_MIN})


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=BYTES_MAX).filter(
    lambda text: len(text.encode()) <= BYTES_MAX
)


@settings(max_examples=30)
@given(TEXTS)
def test_the_hash_verifies_the_text_and_no_other(text: str) -> None:
    hashed = _cheap(text).encode()
    assert bcrypt.checkpw(text.encode(), hashed)
    other = ("?" if text.startswith("!") else "!") + text[1:]
    assert not bcrypt.checkpw(other.encode(), hashed)


def test_a_text_alone_gets_the_default_cost() -> None:
    hashed = encoder("secret")
    assert hashed.startswith(f"$2b${COST_DEFAULT}$")
    assert bcrypt.checkpw(b"secret", hashed.encode())


def test_a_mapping_without_a_cost_gets_the_default() -> None:
    assert encoder({"text": "secret"}).startswith(f"$2b${COST_DEFAULT}$")


def test_the_wanted_cost_is_used() -> None:
    assert encoder({"text": "secret", "cost": 5}).startswith("$2b$05$")


def test_a_list_has_the_text_and_the_cost() -> None:
    """As every operation with several parameters takes them."""
    hashed = encoder(["secret", 5])
    assert hashed.startswith("$2b$05$") and bcrypt.checkpw(b"secret", hashed.encode())
    assert encoder(["secret"]).startswith(f"$2b${COST_DEFAULT}$")


@pytest.mark.parametrize("value", [[], ["a", 4, 5]])
def test_a_list_of_anything_else_is_refused(value: list[object]) -> None:
    with pytest.raises(NonRetryable, match="a list of a text and"):
        encoder(value)


def test_every_hash_has_a_salt_of_its_own() -> None:
    assert _cheap("secret") != _cheap("secret")


def test_72_bytes_are_hashed_to_the_last() -> None:
    hashed = _cheap("x" * BYTES_MAX).encode()
    assert bcrypt.checkpw(b"x" * BYTES_MAX, hashed)
    assert not bcrypt.checkpw(b"x" * (BYTES_MAX - 1) + b"y", hashed)


@pytest.mark.parametrize("text", ["x" * 73, "č" * 37, "\U0001f600" * 19, "x" * 1_000_000])
def test_more_than_72_bytes_are_refused(text: str) -> None:
    with pytest.raises(NonRetryable, match=f"has {len(text.encode()):,} bytes as UTF-8.*at most 72"):
        _cheap(text)


@pytest.mark.parametrize("text", ["\0", "secret\0", "a\0b"])
def test_a_nul_is_refused(text: str) -> None:
    with pytest.raises(NonRetryable, match="NUL"):
        _cheap(text)


def test_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(NonRetryable, match="surrogate"):
        _cheap("\ud800")


@pytest.mark.parametrize("value", [None, 12, True, [["secret"]], b"secret", {"text": None}, {"text": 12}])
def test_what_is_no_text_is_refused(value: object) -> None:
    with pytest.raises(NonRetryable, match="needs a text"):
        encoder(value)


@pytest.mark.parametrize(
    "value", [{}, {"cost": 5}, {"text": "a", "rounds": 5}, {"text": "a", "cost": 5, 1: 2}]
)
def test_another_mapping_is_refused(value: object) -> None:
    with pytest.raises(NonRetryable, match='"text" and, if wanted, "cost"'):
        encoder(value)


@pytest.mark.parametrize("cost", [COST_MIN - 1, COST_MAX + 1, 0, -4, pytest.param(10**5000, id="huge")])
def test_a_cost_out_of_bounds_is_refused(cost: int) -> None:
    with pytest.raises(NonRetryable, match="between 4 and 16"):
        encoder({"text": "secret", "cost": cost})


@pytest.mark.parametrize("cost", [None, "10", 10.0, True, [10]])
def test_a_cost_that_is_no_number_is_refused(cost: object) -> None:
    with pytest.raises(NonRetryable, match=f"whole number, got {type(cost).__name__}"):
        encoder({"text": "secret", "cost": cost})
