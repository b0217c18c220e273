from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qm.errors import NonRetryable, OperationError
from qm.operations.binding import bind

VALUES: list[object] = [None, 0, False, "", "text", [], [1, 2], {}, {"x": 1}, 1.5, b"bytes"]


def _nothing() -> str:
    return "called"


def _one(x: object) -> tuple[object]:
    return (x,)


def _one_with_default(x: object = "default") -> tuple[object]:
    return (x,)


def _one_by_name(*, x: object) -> tuple[object]:
    return (x,)


def _two(x: object, y: object = "default") -> tuple[object, object]:
    return x, y


def _optional(x: object = 1, y: object = 2) -> tuple[object, object]:
    return x, y


def _mixed(x: object, *, y: object) -> tuple[object, object]:
    return x, y


def _by_place_only(x: object, y: object, /) -> tuple[object, object]:
    return x, y


def _values(*values: object) -> tuple[object, ...]:
    return values


def _names(**names: object) -> dict[str, object]:
    return names


def _anything(*values: object, **names: object) -> tuple[tuple[object, ...], dict[str, object]]:
    return values, names


def _open(x: object, *values: object, **names: object) -> tuple[object, ...]:
    return x, values, names


@pytest.mark.parametrize("value", VALUES, ids=repr)
@pytest.mark.parametrize("function", [_one, _one_by_name])
def test_one_parameter_gets_the_input_as_it_is(function: Callable[..., Any], value: object) -> None:
    (got,) = bind(function, "t")(value)
    assert got is value


@pytest.mark.parametrize("value", VALUES[1:], ids=repr)
def test_one_parameter_with_a_default_gets_any_input_as_it_is(value: object) -> None:
    (got,) = bind(_one_with_default, "t")(value)
    assert got is value


def test_no_input_leaves_one_parameter_its_default() -> None:
    assert bind(_one_with_default, "t")(None) == ("default",)
    by_name = bind(lambda *, x="default": x, "t")
    assert (by_name(None), by_name(1)) == ("default", 1)


@pytest.mark.parametrize(
    ("function", "value", "result"),
    [
        (_two, {"x": 1}, (1, "default")),
        (_two, {"y": 2, "x": 1}, (1, 2)),
        (_two, [1], (1, "default")),
        (_two, [1, 2], (1, 2)),
        (_two, (1, 2), (1, 2)),
        (_two, [[1], {"y": 2}], ([1], {"y": 2})),
        (_optional, None, (1, 2)),
        (_optional, {}, (1, 2)),
        (_optional, [], (1, 2)),
        (_optional, {"y": 5}, (1, 5)),
        (_mixed, {"x": 1, "y": 2}, (1, 2)),
        (_by_place_only, [1, 2], (1, 2)),
        (_values, [1, 2, 3], (1, 2, 3)),
        (_values, None, ()),
        (_names, {"a": 1, "b c": 2}, {"a": 1, "b c": 2}),
        (_names, None, {}),
        (_anything, [1], ((1,), {})),
        (_anything, {"a": 1}, ((), {"a": 1})),
        (_open, [1, 2], (1, (2,), {})),
        (_open, {"x": 1, "z": 2}, (1, (), {"z": 2})),
    ],
)
def test_a_mapping_gives_keywords_and_a_list_positions(
    function: Callable[..., Any], value: object, result: object
) -> None:
    assert bind(function, "t")(value) == result


@pytest.mark.parametrize("value", [None, "", b"", [], (), {}])
def test_a_function_without_parameters_needs_no_input(value: object) -> None:
    assert bind(_nothing, "t")(value) == "called"


@pytest.mark.parametrize("value", [0, False, "x", [None], {"x": 1}, 0.0])
def test_a_function_without_parameters_refuses_an_input(value: object) -> None:
    with pytest.raises(NonRetryable, match=f"'tick' takes no input, got {type(value).__name__}"):
        bind(_nothing, "tick")(value)


@pytest.mark.parametrize(
    ("function", "value", "complaint"),
    [
        (_two, None, "(x, y=...): expected a mapping with these names or a list in this order, got no input"),
        (_two, "a", "or a list in this order, got str"),
        (_two, 5, "or a list in this order, got int"),
        (_two, [], "expected 1 to 2 in a list, got 0"),
        (_two, [1, 2, 3], "expected 1 to 2 in a list, got 3"),
        (_two, {}, "x missing in the input"),
        (_two, {"y": 1}, "x missing in the input"),
        (_two, {"x": 1, "z": 2}, "the input has an unexpected 'z'"),
        (_two, {"x": 1, 2: 3}, "the input has an unexpected 2"),
        (_mixed, [1, 2], "(x, y): expected a mapping with these names, got list"),
        (_by_place_only, {"x": 1, "y": 2}, "(x, y): expected a list in this order, got dict"),
        (_by_place_only, [1], "expected 2 in a list, got 1"),
        (_values, {"x": 1}, "(*values): expected a list in this order, got dict"),
        (_names, [1], "(**names): expected a mapping with these names, got list"),
        (_names, {1: 2}, "the names in a mapping must be texts"),
        (_open, [], "(x, *values, **names): expected at least 1 in a list, got 0"),
        (_open, {"z": 1}, "x missing in the input"),
    ],
)
def test_a_wrong_shape_is_refused_in_words(
    function: Callable[..., Any], value: object, complaint: str
) -> None:
    with pytest.raises(NonRetryable, match=re.escape(complaint)) as refused:
        bind(function, "resize")(value)
    assert str(refused.value).startswith("operation 'resize' takes (")


def test_all_missing_names_are_named() -> None:
    with pytest.raises(NonRetryable, match="a, b missing"):
        bind(lambda b, a, c=1: (a, b, c), "t")({"c": 1})


def test_a_refusal_shows_no_default_and_no_value() -> None:
    def send(to: str, token: str = "hunter2") -> None: ...

    with pytest.raises(NonRetryable) as refused:
        bind(send, "send")({"to": "private", "x" * 1000: "private"})
    assert "hunter2" not in str(refused.value)
    assert "private" not in str(refused.value)
    assert len(str(refused.value)) < 200


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["x", "y", "z"]) | st.integers(0, 2), inner, max_size=4)
    ),
    max_leaves=8,
)
FUNCTIONS = [_nothing, _one, _two, _optional, _mixed, _by_place_only, _values, _names, _anything, _open]


@given(st.sampled_from(FUNCTIONS), JSON)
def test_any_input_is_taken_or_refused_in_words(function: Callable[..., Any], value: object) -> None:
    """Python's own TypeError for a wrong call never gets out: it would be retried, and says little."""
    try:
        bind(function, "t")(value)
    except NonRetryable as refused:
        assert str(refused).startswith("operation 't' takes ")


def test_a_type_error_of_the_function_is_left_alone() -> None:
    def broken(x: int, y: int) -> None:
        raise TypeError("its own")

    with pytest.raises(TypeError, match="its own"):
        bind(broken, "t")([1, 2])


def test_methods_partials_and_wrapped_functions_are_functions() -> None:
    class Scale:
        def by(self, x: int, factor: int = 2) -> int:
            return x * factor

    @functools.wraps(_two)
    def wrapped(*args: object, **kwargs: object) -> object:
        return _two(*args, **kwargs)

    assert bind(Scale().by, "t")([5]) == 10
    assert bind(functools.partial(_two, y=9), "t")({"x": 1}) == (1, 9)
    with pytest.raises(NonRetryable, match="x missing"):
        bind(wrapped, "t")({})


def test_a_function_of_unknown_parameters_is_refused_at_once() -> None:
    with pytest.raises(OperationError, match="wrap it in a function"):
        bind(min, "t")


def test_a_function_that_no_input_can_fill_is_refused_at_once() -> None:
    def odd(x: int, /, *, y: int) -> None: ...

    with pytest.raises(OperationError, match="neither a mapping nor a list"):
        bind(odd, "t")
