"""What crosses between a producer and the simulation comes out as it went in."""

from __future__ import annotations

from multiprocessing import Pipe

import pytest

from qm.errors import QueueError, Unreachable
from qm.simulator.audit import End, Record
from qm.simulator.pipe import Broken, Count, Finished, Judged, Order, Word, hear_order, hear_word, say

RECORDS = [
    Record(id="a", type="x", end=End.DONE, twice=True, wrong=True, takes=3, seconds=0.5, complaint="ü"),
    Record(id="b", type="encoder", end=End.LOST),
]


@pytest.mark.parametrize(
    "word", [Count(3, 2), Judged(RECORDS), Judged([]), Finished(7), Broken("unreachable", "nobody", None)]
)
def test_a_word_comes_out_as_it_went_in(word: Word) -> None:
    here, there = Pipe()
    with here, there:
        say(there, word)
        assert hear_word(here) == word


@pytest.mark.parametrize("order", Order)
def test_an_order_comes_out_as_it_went_in(order: Order) -> None:
    here, there = Pipe()
    with here, there:
        say(here, order)
        assert hear_order(there) is order


def test_an_error_crosses_with_its_kind_and_its_hint() -> None:
    error = Broken("unreachable", "cannot reach it", "start one").error()
    assert isinstance(error, Unreachable)
    assert (str(error), error.hint) == ("cannot reach it", "start one")
    assert type(Broken("never heard of", "x", None).error()) is QueueError


def test_the_end_of_the_other_side_is_noticed() -> None:
    here, there = Pipe()
    there.close()
    with here, pytest.raises((EOFError, OSError)):
        hear_word(here)
