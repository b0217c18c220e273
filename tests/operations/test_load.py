from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qm.errors import DuplicateType, LoadError
from qm.operations.load import load
from qm.task import Task

Write = Callable[[str, str], Path]

OPS = """
from qm.operations import Operations
ops = Operations()

@ops.operation("{type}")
def run(x):
    return x
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes modules into a directory that is the current one, and forgets them afterwards."""
    before, path = set(sys.modules), list(sys.path)
    monkeypatch.chdir(tmp_path)

    def write(name: str, text: str) -> Path:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        importlib.invalidate_caches()
        return file

    yield write
    sys.path[:] = path
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def test_the_current_directory_can_be_imported_from(write: Write) -> None:
    write("mail_tasks.py", OPS.format(type="mail"))
    ops = load(["mail_tasks"])
    assert set(ops.options()) == {"mail"}
    assert ops.run(Task(id="t", type="mail", input=5)) == 5


def test_a_module_in_a_package_is_found_by_its_dotted_name(write: Write) -> None:
    write("shop/__init__.py", "")
    write("shop/tasks.py", OPS.format(type="order"))
    assert "order" in load(["shop.tasks"])


def test_an_operation_can_import_its_neighbours_later(write: Write) -> None:
    write("neighbour_module.py", "VALUE = 7")
    write(
        "late_tasks.py",
        "from qm.operations import Operations\nops = Operations()\n"
        "@ops.operation('late')\ndef late():\n    from neighbour_module import VALUE\n    return VALUE\n",
    )
    assert load(["late_tasks"]).run(Task(id="t", type="late", input=None)) == 7


def test_every_registry_of_a_module_counts_whatever_its_name(write: Write) -> None:
    write("two_tasks.py", OPS.format(type="first") + "OPS = also = ops\n" + OPS.format(type="second"))
    assert set(load(["two_tasks"]).options()) == {"first", "second"}


def test_several_modules_are_loaded_together(write: Write) -> None:
    write("a_tasks.py", OPS.format(type="a"))
    write("b_tasks.py", OPS.format(type="b"))
    assert set(load(["a_tasks", "b_tasks", "a_tasks"]).options()) == {"a", "b"}


def test_a_registry_that_several_modules_share_is_no_duplicate(write: Write) -> None:
    write("shared_tasks.py", OPS.format(type="shared"))
    write("user_tasks.py", "from shared_tasks import ops\n")
    assert set(load(["shared_tasks", "user_tasks"]).options()) == {"shared"}


def test_one_type_in_two_modules_is_an_error_that_names_both(write: Write) -> None:
    write("c_tasks.py", OPS.format(type="c"))
    write("d_tasks.py", OPS.format(type="c"))
    with pytest.raises(DuplicateType, match=r"by c_tasks\.run and by d_tasks\.run"):
        load(["c_tasks", "d_tasks"])


def test_a_lone_name_is_one_module(write: Write) -> None:
    write("lone_tasks.py", OPS.format(type="lone"))
    assert "lone" in load("lone_tasks")


def test_no_modules_hold_no_operations() -> None:
    assert len(load([])) == 0


def test_a_lazy_object_in_the_namespace_is_left_alone(write: Write) -> None:
    write(
        "lazy_tasks.py",
        OPS.format(type="lazy")
        + "class Lazy:\n    @property\n    def __class__(self):\n        raise RuntimeError('not yet')\n"
        "lazy = Lazy()\n",
    )
    assert "lazy" in load(["lazy_tasks"])


def test_a_module_that_is_not_there_is_said_to_be_missing(write: Write) -> None:
    for name in ("no_such_module", "no_such.module"):
        with pytest.raises(LoadError, match=f"there is no module '{name}', neither in the current directory"):
            load([name])


def test_a_file_instead_of_a_module_is_explained(write: Write) -> None:
    file = write("file_tasks.py", OPS.format(type="file"))
    with pytest.raises(LoadError, match=r"give the name of the module, file_tasks, not of its file"):
        load(["file_tasks.py"])
    for name in (str(file), "./file_tasks", "file-tasks", "", ".relative"):
        with pytest.raises(LoadError, match="is not the name of a module"):
            load([name])


def test_an_import_error_is_shown_with_its_line(write: Write) -> None:
    file = write("broken_tasks.py", "\nimport no_such_library\n")
    with pytest.raises(LoadError) as raised:
        load(["broken_tasks"])
    assert str(raised.value) == (
        "module 'broken_tasks' does not import: "
        f"ModuleNotFoundError: No module named 'no_such_library' (at {file}:2)"
    )
    assert isinstance(raised.value.__cause__, ModuleNotFoundError)


def test_the_line_shown_is_the_users_innermost(write: Write) -> None:
    helper = write("deep_helper.py", "import json\n\ndef read():\n    return json.loads('{')\n")
    write("deep_tasks.py", "import deep_helper\ndeep_helper.read()\n")
    with pytest.raises(LoadError, match=re.escape(f"(at {helper}:4)")) as raised:
        load(["deep_tasks"])
    assert "json.decoder.JSONDecodeError: " in str(raised.value)


def test_a_misuse_of_ours_is_shown_at_the_users_line(write: Write) -> None:
    file = write("twice_tasks.py", OPS.format(type="twice") + "ops.operation('twice')(run)\n")
    with pytest.raises(LoadError, match=re.escape(f"(at {file}:8)")) as raised:
        load(["twice_tasks"])
    assert "type 'twice' is registered twice" in str(raised.value)


def test_a_syntax_error_is_shown_with_its_line(write: Write) -> None:
    file = write("syntax_tasks.py", "x = 1\ndef f(:\n")
    with pytest.raises(LoadError, match=re.escape(f"SyntaxError: invalid syntax (at {file}:2)")):
        load(["syntax_tasks"])


def test_a_module_that_ends_the_program_is_explained(write: Write) -> None:
    file = write("script_tasks.py", "import sys\nsys.exit(3)\n")
    with pytest.raises(LoadError, match=r"ends the program when it is imported.*__main__") as raised:
        load(["script_tasks"])
    assert f"(at {file}:2)" in str(raised.value)


def test_an_interrupt_during_an_import_is_no_load_error(write: Write) -> None:
    write("slow_tasks.py", "raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        load(["slow_tasks"])


def test_a_module_without_operations_is_an_error(write: Write) -> None:
    write("plain_module.py", "from qm.operations import Operations\nVALUE = 1\n")
    with pytest.raises(LoadError, match="'plain_module' holds no operations: it needs `ops = Operations"):
        load(["plain_module"])


def test_a_registry_that_nobody_filled_is_an_error(write: Write) -> None:
    write("empty_tasks.py", "from qm.operations import Operations\nops = Operations()\n")
    with pytest.raises(LoadError, match="'empty_tasks' registers nothing"):
        load(["empty_tasks"])


def test_a_directory_that_is_gone_does_not_stop_other_imports(write: Write, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(gone)
        gone.rmdir()
        assert "reverse" in load(["qm.operations.reverse"])
