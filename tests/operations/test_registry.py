from __future__ import annotations

from typing import Any

import pytest

import qm.operations
from qm.errors import DuplicateType, NonRetryable, OperationError
from qm.messages import TypeOptions
from qm.operations import Operations
from qm.task import Task


def _task(type_: str, input: object = None) -> Task:
    return Task(id="t", type=type_, input=input)


class Doubling:
    """The original's style, with a return."""

    def call(self, task: Task) -> int:
        return int(task.input) * 2


class Shouting:
    """The original's style, with `output`."""

    def call(self, task: Task) -> None:
        task.output = task.input.upper()


def test_the_output_is_what_call_returns() -> None:
    assert Operations().register(Doubling(), "double").run(_task("double", 21)) == 42


def test_the_output_is_what_call_puts_into_the_task() -> None:
    assert Operations().register(Shouting(), "shout").run(_task("shout", "ho")) == "HO"


def test_what_is_returned_wins_even_if_it_is_empty() -> None:
    class Both:
        def call(self, task: Task) -> int:
            task.output = "put"
            return 0

    assert Operations().register(Both(), "both").run(_task("both")) == 0


def test_an_object_that_gives_nothing_has_the_output_none() -> None:
    class Silent:
        def call(self, task: Task) -> None: ...

    assert Operations().register(Silent(), "silent").run(_task("silent")) is None


def test_register_can_be_chained() -> None:
    ops = Operations()
    assert ops.register(Doubling(), "double").register(Shouting(), "shout") is ops
    assert set(ops.options()) == {"double", "shout"}
    assert len(ops) == 2
    assert "double" in ops
    assert "treble" not in ops


def test_a_decorated_function_runs_its_tasks_and_stays_a_function() -> None:
    ops = Operations()

    def resize(path: str, width: int = 800) -> str:
        return f"{path} at {width}"

    decorated = ops.operation("resize")(resize)
    assert decorated is resize
    assert ops.run(_task("resize", {"path": "a.png"})) == "a.png at 800"
    assert ops.run(_task("resize", ["a.png", 20])) == "a.png at 20"
    with pytest.raises(NonRetryable, match="'resize' takes"):
        ops.run(_task("resize", "a.png"))


def test_one_function_can_serve_several_types() -> None:
    ops = Operations()

    @ops.operation("first")
    @ops.operation("second")
    def echo(x: object) -> object:
        return x

    assert [ops.run(_task(name, 1)) for name in ("first", "second")] == [1, 1]


def test_an_operations_own_error_passes_untouched() -> None:
    ops = Operations()
    error = ConnectionError("the mail server is down")

    @ops.operation("send")
    def send(to: str) -> None:
        raise error

    with pytest.raises(ConnectionError) as raised:
        ops.run(_task("send", "me"))
    assert raised.value is error


def test_options_are_told_by_type() -> None:
    ops = Operations().register(Doubling(), "double", timeout=5, prefetch=1)
    ops.operation("shout", attempts=1, keep=60)(str.upper)
    assert ops.options() == {
        "double": TypeOptions(timeout=5, prefetch=1),
        "shout": TypeOptions(attempts=1, keep=60),
    }


def test_a_type_twice_is_an_error_that_names_both() -> None:
    ops = Operations().register(Doubling(), "double")
    with pytest.raises(DuplicateType, match=r"'double'.*twice: by .*Doubling and by .*Shouting"):
        ops.register(Shouting(), "double")
    with pytest.raises(DuplicateType, match="twice"):
        ops.operation("double")(lambda x: x)
    assert ops.run(_task("double", 1)) == 2


def test_registries_merge() -> None:
    ops = Operations().register(Doubling(), "double")
    shout = Operations().register(Shouting(), "shout")
    assert ops.merge(shout, Operations()) is ops
    assert ops.run(_task("shout", "ho")) == "HO"
    assert set(shout.options()) == {"shout"}


def test_merging_what_is_there_already_changes_nothing() -> None:
    ops = Operations().register(Doubling(), "double")
    assert len(Operations().merge(ops, ops).merge(ops)) == 1


def test_merging_two_of_one_type_is_an_error() -> None:
    ops = Operations().register(Doubling(), "double")
    with pytest.raises(DuplicateType, match="'double'"):
        ops.merge(Operations().register(Doubling(), "double"))


def test_an_unknown_type_is_an_error_that_says_what_there_is() -> None:
    ops = Operations().register(Doubling(), "double").register(Shouting(), "also")
    with pytest.raises(OperationError, match=r"no operation for type 'treble'.*there are: also, double"):
        ops.run(_task("treble"))
    with pytest.raises(OperationError, match="there are: none"):
        Operations().lookup("treble")


@pytest.mark.parametrize("name", ["", "two words", "-x", "ä", "x" * 65, None, 5])
def test_what_cannot_be_a_type_is_refused(name: Any) -> None:
    with pytest.raises(OperationError, match="cannot be a type"):
        Operations().register(Doubling(), name)
    with pytest.raises(OperationError, match="cannot be a type"):
        Operations().operation(name)


def test_a_decorator_without_its_type_is_refused() -> None:
    def resize(path: str) -> None: ...

    with pytest.raises(OperationError, match="the decorator needs a type"):
        Operations().operation(resize)  # type: ignore[arg-type]


@pytest.mark.parametrize("thing", [Doubling, object(), None, len, "Doubling"])
def test_what_has_no_call_is_refused(thing: Any) -> None:
    with pytest.raises(OperationError, match=r"'double': register takes an object with a method call"):
        Operations().register(thing, "double")


@pytest.mark.parametrize("thing", [Doubling, Doubling(), None, "double"])
def test_what_is_no_function_is_not_decorated(thing: Any) -> None:
    with pytest.raises(OperationError, match="the decorator is for functions"):
        Operations().operation("double")(thing)


def test_what_would_never_run_is_refused() -> None:
    async def coroutine(x: int) -> int:
        return x

    def generator(x: int) -> Any:
        yield x

    async def both(x: int) -> Any:
        yield x

    class Asynchronous:
        async def call(self, task: Task) -> None: ...

    for function, complaint in ((coroutine, "async def"), (generator, "generator"), (both, "generator")):
        with pytest.raises(OperationError, match=complaint):
            Operations().operation("t")(function)
    with pytest.raises(OperationError, match="async def"):
        Operations().register(Asynchronous(), "t")


def test_what_was_refused_is_not_registered() -> None:
    ops = Operations()
    with pytest.raises(OperationError):
        ops.register(Doubling(), "double", timeout=-1)
    assert "double" not in ops


def test_a_registry_shows_its_types() -> None:
    assert repr(Operations()) == "<Operations: none>"
    assert repr(Operations().register(Doubling(), "double").register(Shouting(), "also")) == (
        "<Operations: also, double>"
    )


def test_the_package_exports_the_registry() -> None:
    assert qm.operations.__all__ == ["Operations"]
    assert qm.operations.Operations is Operations
