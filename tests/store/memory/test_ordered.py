"""The sorted collection behind every order of the memory store."""

from __future__ import annotations

from bisect import insort

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qm.store.memory.ordered import Ordered, Place

places = st.tuples(st.integers(-3, 3), st.integers(0, 500), st.sampled_from(["a", "b"]))


def filled(count: int) -> Ordered:
    ordered = Ordered()
    for i in range(count):
        ordered.add((0, i * 7919 % count, ""))
    return ordered


@given(st.lists(places, unique=True), st.lists(places), places)
def test_it_says_what_a_sorted_list_says(put: list[Place], taken: list[Place], after: Place) -> None:
    ordered, plain = Ordered(), list[Place]()
    for place in put:
        ordered.add(place)
        insort(plain, place)
    for place in taken:
        if place in plain:
            plain.remove(place)
            ordered.remove(place)
    assert [*ordered.after(None)] == plain
    assert len(ordered) == len(plain)
    assert ordered.head(3) == plain[:3]
    assert [*ordered.after(after)] == [place for place in plain if place > after]
    if plain:
        assert ordered.first() == plain[0]


@pytest.mark.parametrize("count", [1, 1999, 2001, 9001])
def test_it_keeps_order_across_chunks(count: int) -> None:
    ordered = filled(count)
    assert [place[1] for place in ordered.after(None)] == [*range(count)]
    assert [place[1] for place in ordered.after((0, count // 2, ""))] == [*range(count // 2 + 1, count)]
    for i in range(0, count, 2):
        ordered.remove((0, i, ""))
    assert [place[1] for place in ordered.after(None)] == [*range(1, count, 2)]
    assert len(ordered) == count // 2


def test_it_empties_and_fills_again() -> None:
    ordered = filled(5000)
    while ordered:
        ordered.remove(ordered.first())
    assert ([*ordered.after(None)], ordered.head(1)) == ([], [])
    ordered.add((0, 1, ""))
    assert ordered.first() == (0, 1, "")


@pytest.mark.parametrize("count", [0, 1, 5000])
def test_removing_what_is_not_there_is_an_error(count: int) -> None:
    ordered = filled(count)
    for missing in ((0, -1, ""), (0, count, ""), (0, 0.5, "")):
        with pytest.raises(KeyError):
            ordered.remove(missing)
    assert len(ordered) == count
