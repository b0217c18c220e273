"""The registry: which operation runs the tasks of a type."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, Unpack

from qm.errors import DuplicateType, OperationError
from qm.messages import TypeOptions
from qm.operations.binding import bind
from qm.operations.options import Options, checked
from qm.task import Task, is_type

F = TypeVar("F", bound=Callable[..., Any])


class HasCall(Protocol):
    """An object that runs tasks: what `call` returns is the output, else what it put into `task.output`."""

    def call(self, task: Task, /) -> Any:
        """Runs `task`. What it raises fails the attempt; `NonRetryable` fails the task."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One registered operation. `origin` is the dotted name of what was registered, for messages."""

    type: str
    options: TypeOptions
    origin: str
    run: Callable[[Task], Any]


class Operations:
    """Operations by the type of task they run. Fill it while its module is imported, then leave it alone.

    >>> ops = Operations()
    >>> @ops.operation("resize", timeout=60)
    ... def resize(path, width=800):
    ...     return f"{path} at {width}"
    >>> ops.run(Task(id="t", type="resize", input={"path": "a.png"}))
    'a.png at 800'
    """

    def __init__(self) -> None:
        self._operations: dict[str, Operation] = {}

    def register(self, obj: HasCall, type: str, **options: Unpack[Options]) -> Operations:
        """Has `obj.call(task)` run the tasks of `type`; returns itself, for chaining.

        Raises `DuplicateType` if `type` is taken, `OperationError` if this cannot be an operation.
        """
        self._add(Operation(_type(type), checked(options), _origin(obj), _run_object(obj, type)))
        return self

    def operation(self, type: str, **options: Unpack[Options]) -> Callable[[F], F]:
        """A decorator: the function runs the tasks of `type`. It stays what it is, so tests just call it.

        `qm.operations.binding` says how its parameters are filled. Raises as `register` does.
        """
        known, made = _type(type), checked(options)

        def decorate(function: F) -> F:
            self._add(Operation(known, made, _origin(function), _run_function(function, known)))
            return function

        return decorate

    def merge(self, *others: Operations) -> Operations:
        """Takes over what `others` hold; returns itself. The same operation met twice is no duplicate."""
        for other in others:
            for operation in other._operations.values():
                if self._operations.get(operation.type) is not operation:
                    self._add(operation)
        return self

    def fill(self, other: Operations) -> Operations:
        """Takes over what `other` holds for types that are not here yet; returns itself."""
        for operation in other._operations.values():
            self._operations.setdefault(operation.type, operation)
        return self

    def only(self, types: Iterable[str]) -> Operations:
        """A new registry with just these types. Raises `OperationError` for one that is not here."""
        chosen = Operations()
        for name in types:
            chosen._operations[name] = self.lookup(name)
        return chosen

    def options(self) -> dict[str, TypeOptions]:
        """What is served, as a worker announces it: each type with its options."""
        return {operation.type: operation.options for operation in self._operations.values()}

    def lookup(self, type: str) -> Operation:
        """The operation for `type`. Raises `OperationError` if there is none."""
        try:
            return self._operations[type]
        except KeyError:
            known = ", ".join(sorted(self._operations)) or "none"
            raise OperationError(
                f"no operation for type {type!r} is loaded here (there are: {known}); "
                f"name the module that has it: --load MODULE, or Worker(load=[...])"
            ) from None

    def run(self, task: Task) -> Any:
        """Runs `task` here and now and returns its output.

        Raises what the operation raises, `NonRetryable` for an input of a wrong shape, and `OperationError`
        for a type that is not here.
        """
        return self.lookup(task.type).run(task)

    def __contains__(self, type: object) -> bool:
        return type in self._operations

    def __len__(self) -> int:
        return len(self._operations)

    def __repr__(self) -> str:
        return f"<Operations: {', '.join(sorted(self._operations)) or 'none'}>"

    def _add(self, operation: Operation) -> None:
        other = self._operations.setdefault(operation.type, operation)
        if other is not operation:
            raise DuplicateType(
                f"type {operation.type!r} is registered twice: by {other.origin} and by {operation.origin}"
            )


def _type(name: object) -> str:
    if isinstance(name, str) and is_type(name):
        return name
    if callable(name):
        raise OperationError('the decorator needs a type: write @ops.operation("my-type")')
    raise OperationError(
        f"{name!r} cannot be a type: it has 1 to 64 characters of A-Z a-z 0-9 . _ : - "
        f"and begins with a letter, a digit or _"
    )


def _origin(thing: Any) -> str:
    named = thing if hasattr(thing, "__qualname__") else type(thing)
    return f"{getattr(named, '__module__', 'builtins')}.{named.__qualname__}"


def _run_object(obj: HasCall, type_: str) -> Callable[[Task], Any]:
    call = getattr(obj, "call", None)
    if isinstance(obj, type) or not callable(call):
        raise OperationError(
            f"operation {type_!r}: register takes an object with a method call(task), not {_origin(obj)}; "
            f"a class needs its parentheses, and for a function there is @ops.operation({type_!r})"
        )
    _demand_plain(call, type_)

    def run(task: Task) -> Any:
        output = call(task)
        return task.output if output is None else output

    return run


def _run_function(function: Callable[..., Any], type_: str) -> Callable[[Task], Any]:
    if isinstance(function, type) or not callable(function):
        raise OperationError(
            f"operation {type_!r}: the decorator is for functions; "
            f"for an object with a method call(task) there is ops.register(obj, {type_!r})"
        )
    _demand_plain(function, type_)
    bound = bind(function, type_)
    return lambda task: bound(task.input)


def _demand_plain(function: Callable[..., Any], type_: str) -> None:
    """A coroutine or a generator would be made and thrown away, and its body never run."""
    if inspect.iscoroutinefunction(function):
        raise OperationError(
            f"operation {type_!r}: async def is not run by a worker; call asyncio.run in a plain function"
        )
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise OperationError(f"operation {type_!r}: a generator has no single output; return a list instead")
