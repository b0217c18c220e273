from __future__ import annotations

import pytest

from qm.errors import NonRetryable
from qm.messages import TypeOptions
from qm.operations.builtin import OPERATIONS
from qm.operations.load import load
from qm.task import Task


@pytest.mark.parametrize(
    ("type_", "input", "output"),
    [
        ("fibonacci", 20, 6765),
        ("fibonacci", "20", 6765),
        ("arithmetic", "( ( 55 + 5 ) + ( 2 * 5 ) )", 70),
        ("arithmetic", "5 + 12 / 6 - 7 * 9", -56),
        ("arithmetic", "(17 + (8-2) * (5*6))", 197),
        ("reverse", "ta suhi skafec pusca", "acsup cefaks ihus at"),
    ],
)
def test_the_originals_cases_hold_as_tasks(type_: str, input: object, output: object) -> None:
    assert OPERATIONS.run(Task(id="t", type=type_, input=input)) == output


def test_the_encoder_is_there_too() -> None:
    task = Task(id="t", type="encoder", input={"text": "secret", "cost": 4})
    assert OPERATIONS.run(task).startswith("$2b$04$")


@pytest.mark.parametrize("type_", sorted(OPERATIONS.options()))
def test_no_input_is_refused_for_good(type_: str) -> None:
    with pytest.raises(NonRetryable, match=r"got no input$"):
        OPERATIONS.run(Task(id="t", type=type_, input=None))


def test_these_four_are_built_in() -> None:
    four = ("fibonacci", "arithmetic", "reverse", "encoder")
    assert OPERATIONS.options() == dict.fromkeys(four, TypeOptions())


def test_they_load_like_any_others() -> None:
    assert load(["qm.operations.builtin"]).options() == OPERATIONS.options()
