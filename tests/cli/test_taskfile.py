"""A task in each line of a file."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest

from qm.cli.taskfile import Made, TaskFile
from qm.errors import BadRequest
from qm.payload import unpack
from tests.cli.stage import Stdin


def file(text: str | bytes) -> TaskFile:
    return TaskFile(BytesIO(text.encode() if isinstance(text, str) else text), "tasks.jsonl", None)


def test_a_line_is_a_task() -> None:
    tasks = list(
        file(
            '{"type": "fibonacci", "input": 15}\n'
            "\n"
            '{"type": "x", "id": "a", "priority": -3, "in": "2m", "attempts": 2, "timeout": 1.5, "keep": 9}\n'
            '{"type": "x", "input": {"deep": [1, null]}, "delay": 0.5}'
        )
    )
    assert [(task.type, unpack(task.input)) for task in tasks] == [
        ("fibonacci", 15),
        ("x", None),
        ("x", {"deep": [1, None]}),
    ]
    full = tasks[1]
    assert (full.id, full.priority, full.delay, full.attempts) == ("a", -3, 120.0, 2)
    assert (full.timeout, full.keep) == (1.5, 9)
    assert tasks[2].delay == 0.5


def test_an_integer_of_any_size_arrives_exactly() -> None:
    (task,) = file(f'{{"type": "x", "input": {7**400}}}')
    assert unpack(task.input) == 7**400


def test_it_remembers_what_it_gave_and_how_much_it_read() -> None:
    text = '\n{"type": "x", "id": "a"}\n  \n{"type": "y", "id": "b"}\n'
    lines = file(text)
    list(lines)
    assert lines.made == [Made("a", "x", 2), Made("b", "y", 4)]
    assert lines.read == len(text)
    assert lines.error is None


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{", "malformed|truncated"),
        ("[]", "Expected `object`, got `array`"),
        ('{"input": 1}', "missing required field `type`"),
        ('{"type": "x", "inputt": 1}', "unknown field `inputt`"),
        ('{"type": "x", "priority": "high"}', r"Expected `int`, got `str` - at `\$.priority`"),
        ('{"type": "no blanks"}', "cannot be a type"),
        ('{"type": "x", "id": "ü"}', "cannot be an id"),
        ('{"type": "x", "in": "soon"}', "in is a time"),
        ('{"type": "x", "input": ' + "[" * 100_000 + "]" * 100_000 + "}", "recursion|nested|depth"),
        (b'{"type": "x", "input": "\xff"}', "utf-8|UTF-8"),
        ('{"type": "x", "input": "\\ud800"}', "surrogate|truncated"),
    ],
)
def test_a_bad_line_ends_it_and_is_named(line: str | bytes, complaint: str) -> None:
    bad = line if isinstance(line, bytes) else line.encode()
    lines = file(b'{"type": "x", "id": "a"}\n' + bad + b'\n{"type": "x", "id": "c"}\n')
    assert [task.id for task in lines] == ["a"]
    assert lines.error is not None
    with pytest.raises(BadRequest, match=f"^tasks.jsonl line 2: .*({complaint})"):
        raise lines.error


def test_it_is_opened_by_name_and_knows_its_size(tmp_path: Path) -> None:
    path = tmp_path / "tasks.jsonl"
    path.write_text('{"type": "x"}\n')
    with TaskFile.open(str(path)) as opened:
        assert opened.size == 14
        assert len(list(opened)) == 1


def test_a_dash_is_stdin(stdin: Stdin) -> None:
    stdin(b'{"type": "x"}\n{')
    with TaskFile.open("-") as opened:
        assert opened.size is None
        assert len(list(opened)) == 1
        assert str(opened.error).startswith("stdin line 2: ")


def test_a_file_that_cannot_be_read_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match=r"cannot read .*missing: No such file"):
        TaskFile.open(str(tmp_path / "missing"))
    with pytest.raises(BadRequest, match=r"cannot read .*: Is a directory"):
        TaskFile.open(str(tmp_path))
