"""The random tasks: every one is valid, every answer is right, every wrong output is noticed."""

from __future__ import annotations

import math
import unicodedata
from fractions import Fraction
from itertools import islice
from random import Random
from typing import Any

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from qm.operations.builtin import OPERATIONS
from qm.operations.encoder import COST_DEFAULT, COST_MIN
from qm.payload import pack, unpack
from qm.simulator import expressions
from qm.simulator.expressions import Binary, Minus, Number
from qm.simulator.load import CLUSTERS, TYPES, Job, Load, fibonacci
from qm.task import Task

seeds = st.integers(0, 2**32)


def row(seed: int, producer: int = 0, jobs: int = 20, cost: int | None = COST_MIN) -> list[Job]:
    return list(islice(Load(seed, producer, cost), jobs))


def named(jobs: list[Job]) -> list[tuple[str, Any]]:
    return [(job.type, job.input) for job in jobs]


def first(type_: str, cost: int | None = COST_MIN) -> Job:
    return next(job for job in Load(1, 0, cost) if job.type == type_)


def run(job: Job) -> Any:
    """What a worker would hand in, as it comes back over the wire."""
    given = unpack(pack(job.input))
    return unpack(pack(OPERATIONS.run(Task(id="a", type=job.type, input=given))))


@given(seeds, st.integers(0, 255))
def test_the_operations_give_the_answer_that_was_computed_without_them(seed: int, producer: int) -> None:
    for job in row(seed, producer):
        assert job.complaint(run(job)) is None, job


@given(seeds)
def test_the_same_seed_gives_the_same_tasks(seed: int) -> None:
    assert named(row(seed)) == named(row(seed))


def test_producers_and_neighbouring_seeds_give_different_tasks() -> None:
    rows = [named(row(seed, producer)) for seed in (1, 2, 11, 12) for producer in (0, 1, 2, 11)]
    assert not any(rows[i] == rows[j] for i in range(len(rows)) for j in range(i))


def test_the_types_are_the_built_in_ones_each_about_as_often() -> None:
    assert sorted(TYPES) == sorted(OPERATIONS.options())
    sent = [job.type for job in row(3, jobs=2000)]
    assert all(400 < sent.count(name) < 600 for name in TYPES)


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize("output", [None, 0, 1.5, True, "", "x", [], {}, b"x", "$2b$04$" + 53 * "a"])
def test_a_wrong_output_is_noticed(name: str, output: Any) -> None:
    jobs = [job for job in row(4, jobs=200) if job.type == name and job.input not in ("", "0", 0, "1", 1)]
    assert all(job.complaint(output) for job in jobs)
    assert jobs


@given(seeds)
def test_an_output_that_is_nearly_right_is_noticed(seed: int) -> None:
    for job in row(seed):
        output = run(job)
        if isinstance(output, str):
            assert job.complaint(output + "x") and job.complaint(output.encode())
        else:
            next_to_it = math.nextafter(output, math.inf) if isinstance(output, float) else output + 1
            assert job.complaint(next_to_it) and job.complaint(str(output))
            # the value alone is not enough: 6 is not 6.0, and 1 is not True
            assert job.complaint(Fraction(output))


def test_the_hash_of_another_text_or_cost_is_noticed() -> None:
    one, other = [job for job in row(5, jobs=60) if job.type == "encoder"][:2]
    assert one.input["text"] != other.input["text"]
    assert "is no bcrypt hash of" in str(one.complaint(run(other)))
    assert "cost 5" in str(first("encoder", 5).complaint(run(first("encoder", 4))))


def test_without_a_cost_the_encoder_gets_the_text_alone_and_must_take_its_default() -> None:
    job = first("encoder", None)
    assert isinstance(job.input, str)
    assert job.complaint("x") == f"expected a bcrypt hash of cost {COST_DEFAULT}, got 'x'"


def test_a_complaint_is_short_whatever_the_values_are() -> None:
    job = next(job for job in Load(1, 0) if job.type == "fibonacci" and int(job.input) > 10_000)
    assert len(str(job.complaint("y" * 100_000))) < 200
    assert len(str(job.complaint(-(10**5000)))) < 200


def test_clusters_stay_apart_in_any_order() -> None:
    for one in CLUSTERS:
        assert regex.findall(r"\X", one) == [one], [unicodedata.name(c, "?") for c in one]
        for other in CLUSTERS:
            assert regex.findall(r"\X", one + other) == [one, other]


def test_fibonacci_is_what_it_should_be() -> None:
    assert [fibonacci(n) for n in range(11)] == [0, 1, 1, 2, 3, 5, 8, 13, 21, 34, 55]
    assert fibonacci(20) == 6765


@given(seeds)
def test_a_text_means_its_tree(seed: int) -> None:
    """Python's own parser reads it; with every number a Fraction its arithmetic is exact."""
    rng = Random(seed)
    tree = expressions.random_tree(rng)
    text = expressions.write(tree, rng)
    exact = regex.sub(r"[0-9.]+", lambda number: f"Fraction('{number[0]}')", text)
    assert eval(exact, {"Fraction": Fraction}) == tree.value, text


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        (Binary(Number("1"), "-", Binary(Number("2"), "-", Number("3"))), "1-(2-3)"),
        (Binary(Binary(Number("1"), "-", Number("2")), "-", Number("3")), "1-2-3"),
        (Binary(Binary(Number("1"), "+", Number("2")), "*", Number(".5")), "(1+2)*.5"),
        (Binary(Number("8"), "/", Binary(Number("4"), "*", Number("2"))), "8/(4*2)"),
        (Minus(Binary(Number("1"), "*", Number("2"))), "-(1*2)"),
        (Binary(Number("1"), "*", Minus(Minus(Number("2")))), "1*--2"),
    ],
)
def test_parentheses_stand_where_they_are_needed(tree: expressions.Tree, expected: str) -> None:
    class Plain(Random):
        """Never adds a blank or a parenthesis."""

        def random(self) -> float:
            return 1.0

        def choice(self, seq: Any) -> Any:
            return seq[0]

    assert expressions.write(tree, Plain()) == expected


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        (Binary(Number("1"), "/", Number("3")), 1 / 3),
        (Binary(Number("6"), "/", Number("3")), 2),
        (Binary(Number(".5"), "*", Number("4")), 2),
    ],
)
def test_a_whole_result_is_an_int_and_any_other_the_nearest_float(
    tree: expressions.Tree, expected: int | float
) -> None:
    result = expressions.result(tree)
    assert (result, type(result)) == (expected, type(expected))


def test_all_shapes_come_up() -> None:
    texts = [job.input for job in row(7, jobs=2000) if job.type == "arithmetic"]
    for part in ("(", ")", "+", "-", "*", "/", " ", ".", "--"):
        assert any(part in text for text in texts)
    kinds = {type(job.input) for job in row(7, jobs=200) if job.type == "fibonacci"}
    assert kinds == {int, str}
