"""How a task's input becomes the arguments of a function.

    def f()              no input
    def f(x)             the input as it is, whatever it is; with a default, no input means the default
    def f(x, y=0)        a mapping gives keywords, a list positions; so also with *args, **kwargs, or both

"No input" is None. What fits is worked out once, when the function is registered: a call only looks at the
shape of its input, before the function starts. So a TypeError out of the function is always its own.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from inspect import Parameter
from typing import Any, Final, TypeAlias

from qm.errors import NonRetryable, OperationError

#: Runs a function on one input.
Bound: TypeAlias = Callable[[Any], Any]

_BY_PLACE: Final = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
_BY_NAME: Final = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
_OPEN: Final = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)

#: Characters of a name from an input that an error shows.
_SHOWN: Final = 60


def bind(function: Callable[..., Any], type_: str) -> Bound:
    """`function` as a callable of one input, which raises `NonRetryable` where the input has a wrong shape.

    Raises `OperationError` for a function that no input fits, or whose parameters cannot be known.
    """
    parameters = _parameters(function, type_)
    if not parameters:
        return _without_input(function, type_)
    if len(parameters) == 1 and parameters[0].kind not in _OPEN:
        return _with_whole_input(function, parameters[0])
    return _Several(function, parameters, type_)


def _parameters(function: Callable[..., Any], type_: str) -> list[Parameter]:
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        raise OperationError(
            f"operation {type_!r}: Python does not know the parameters of {function!r}; "
            f"wrap it in a function of your own"
        ) from None


def _without_input(function: Callable[[], Any], type_: str) -> Bound:
    def call(value: Any) -> Any:
        # An empty text or container is what a form or a command line sends for nothing.
        if value is not None and not (isinstance(value, (str, bytes, list, tuple, dict)) and not value):
            raise NonRetryable(f"operation {type_!r} takes no input, got {kind(value)}")
        return function()

    return call


def _with_whole_input(function: Callable[..., Any], parameter: Parameter) -> Bound:
    name = parameter.name
    needed = parameter.default is Parameter.empty
    if parameter.kind is Parameter.KEYWORD_ONLY:
        return lambda value: function() if value is None and not needed else function(**{name: value})
    if needed:
        return function
    return lambda value: function() if value is None else function(value)


class _Several:
    """The binding of a function with several parameters: sets and bounds that a call is compared with."""

    def __init__(self, function: Callable[..., Any], parameters: list[Parameter], type_: str) -> None:
        kinds = {p.kind for p in parameters}
        needed = [p for p in parameters if p.kind not in _OPEN and p.default is Parameter.empty]
        self._function = function
        self._intro = f"operation {type_!r} takes ({', '.join(map(_shown, parameters))})"
        self._needs_input = bool(needed)
        self._names = frozenset(p.name for p in parameters if p.kind in _BY_NAME)
        self._needed = frozenset(p.name for p in needed)
        self._any_name = Parameter.VAR_KEYWORD in kinds
        self._least = sum(p.kind in _BY_PLACE for p in needed)
        places = sum(p.kind in _BY_PLACE for p in parameters)
        self._most = sys.maxsize if Parameter.VAR_POSITIONAL in kinds else places
        self._by_name = self._needed <= self._names and bool(self._names or self._any_name)
        self._by_place = self._least == len(needed) and self._most > 0
        if not (self._by_name or self._by_place):
            raise OperationError(f"{self._intro}: neither a mapping nor a list can fill that")

    def __call__(self, value: Any) -> Any:
        if self._by_name and isinstance(value, dict):
            keys = value.keys()
            if not (self._needed <= keys and (self._any_name or keys <= self._names)):
                raise self._wrong_names(value)
            if self._any_name and not all(isinstance(key, str) for key in keys):
                raise NonRetryable(f"{self._intro}: the names in a mapping must be texts")
            return self._function(**value)
        if self._by_place and isinstance(value, (list, tuple)):
            if not self._least <= len(value) <= self._most:
                raise NonRetryable(f"{self._intro}: expected {self._count()} in a list, got {len(value)}")
            return self._function(*value)
        if value is None and not self._needs_input:
            return self._function()
        raise NonRetryable(f"{self._intro}: expected {self._shape()}, got {kind(value)}")

    def _wrong_names(self, value: dict[Any, Any]) -> NonRetryable:
        missing = sorted(self._needed - value.keys())
        if missing:
            return NonRetryable(f"{self._intro}: {', '.join(missing)} missing in the input")
        surplus = next(name for name in value if name not in self._names)
        return NonRetryable(f"{self._intro}: the input has an unexpected {repr(surplus)[:_SHOWN]}")

    def _count(self) -> str:
        if self._most == sys.maxsize:
            return f"at least {self._least}"
        return str(self._most) if self._least == self._most else f"{self._least} to {self._most}"

    def _shape(self) -> str:
        shapes = ["a mapping with these names"] * self._by_name + ["a list in this order"] * self._by_place
        return " or ".join(shapes)


def _shown(parameter: Parameter) -> str:
    """Without the value of a default: producers read this, and it may be a secret of the worker's."""
    star = "*" * (_OPEN.index(parameter.kind) + 1) if parameter.kind in _OPEN else ""
    return star + parameter.name + ("" if parameter.default is Parameter.empty else "=...")


def kind(value: object) -> str:
    """What an input is, as an error says it."""
    return "no input" if value is None else type(value).__name__
