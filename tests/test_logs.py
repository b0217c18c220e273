"""Log lines: whole, levelled, with their fields, and safe to read."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qm import logs
from qm.errors import BadRequest

HEAD = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} (\w+) +(\S+) (\S+) (?:\[(.*?)\] )?(.*)\n")

log = logging.getLogger("qm.test")


class Log:
    """A file that is logged to."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)

    def configure(self, level: str = "info", format: str = "text", program: str = "qmtest") -> None:
        logs.configure(level, format, program, self.fd)

    def text(self) -> str:
        """What was logged since the last look."""
        said = self._path.read_text()
        os.truncate(self._path, 0)
        return said

    def json(self) -> Any:
        (line,) = self.text().splitlines()
        return json.loads(line)


@pytest.fixture
def to(tmp_path: Path) -> Iterator[Log]:
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    file = Log(tmp_path / "log")
    file.configure()
    yield file
    for handler in [handler for handler in root.handlers if handler not in handlers]:
        root.removeHandler(handler)
    root.setLevel(level)
    os.close(file.fd)


def test_a_line_says_when_how_grave_who_where_and_what(to: Log) -> None:
    log.warning("%s of %d", "one", 2)
    match = HEAD.fullmatch(to.text())
    assert match is not None
    assert match.groups() == ("WARNING", "qmtest", "qm.test", None, "one of 2")


def test_bound_fields_are_in_every_line_until_they_are_taken_out(to: Log) -> None:
    logs.bind(worker="web1:4711/0")
    logs.bind(task="order-42", attempt=1)
    log.info("a")
    logging.getLogger("other").info("b")
    logs.unbind("task", "attempt", "never-bound")
    log.info("c")
    fields = [match[4] for match in HEAD.finditer(to.text())]
    bound = "worker=web1:4711/0 task=order-42 attempt=1"
    assert fields == [bound, bound, "worker=web1:4711/0"]


def test_fields_of_one_call_go_before_bound_ones(to: Log) -> None:
    logs.bind(task="bound")
    log.info("a", extra={"task": "own", "slot": 3})
    log.info("b")
    assert [match[4] for match in HEAD.finditer(to.text())] == ["task=own slot=3", "task=bound"]


def test_json_has_the_same_under_names(to: Log) -> None:
    to.configure(format="json")
    logs.bind(worker="web1:4711/0", task="order-42", attempt=1)
    log.error("%s", "tab\tand\nline")
    said = to.json()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", said.pop("time"))
    assert said == {
        "level": "ERROR",
        "program": "qmtest",
        "logger": "qm.test",
        "message": "tab\tand\nline",
        "worker": "web1:4711/0",
        "task": "order-42",
        "attempt": 1,
    }


def test_json_carries_a_traceback_in_its_line(to: Log) -> None:
    to.configure(format="json")
    try:
        raise ValueError("no")
    except ValueError:
        log.exception("it failed")
    assert to.json()["exception"].endswith("ValueError: no")


def test_a_traceback_follows_its_line_and_cannot_be_taken_for_another(to: Log) -> None:
    try:
        raise ValueError("no\n2026-01-01 00:00:00.000 INFO    qmtest qm.test all is well\x1b[2J")
    except ValueError:
        log.exception("it failed")
    first, *rest = to.text().splitlines()
    assert first.endswith("qm.test it failed")
    assert rest[0] == "    | Traceback (most recent call last):"
    assert all(line.startswith("    | ") for line in rest)
    assert rest[-1].endswith("all is well\\x1b[2J")


ANY = st.text(st.characters() | st.sampled_from("\n\r\x1b\x85\u2028\u202e\x9b"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(message=ANY, value=ANY, name=st.sampled_from(["task", "worker"]))
def test_nothing_can_begin_a_line_of_its_own_or_command_a_terminal(
    to: Log, message: str, value: str, name: str
) -> None:
    log.info("%s", message, extra={name: value})
    said = to.text()
    assert said.endswith("\n")
    assert said.count("\n") == 1
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]", said)


def test_a_field_cannot_pretend_to_be_another(to: Log) -> None:
    log.info("x", extra={"task": "a attempt=9] all is well", "worker": ""})
    assert "[task='a attempt=9] all is well' worker=''] x\n" in to.text()


def test_a_message_of_any_size_stays_a_line_that_a_pipe_takes_whole(to: Log) -> None:
    log.info("x" * 1_000_000, extra={"task": "y" * 1000})
    said = to.text()
    assert len(said) < 4096
    assert "(998000 more)" in said
    assert "(800 more)" in said


def test_a_record_is_one_write(to: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that processes that share stderr do not cut into each other's lines."""
    written: list[bytes] = []

    def write(fd: int, data: bytes) -> int:
        written.append(data)
        return len(data)

    monkeypatch.setattr(os, "write", write)
    try:
        raise ValueError("no")
    except ValueError:
        log.exception("it failed", extra={"task": "t"})
    assert len(written) == 1
    assert written[0].endswith(b"ValueError: no\n")


def test_a_write_that_took_only_a_part_goes_on(to: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    write: Callable[[int, bytes], int] = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:10]))
    log.info("whole")
    assert to.text().endswith("qm.test whole\n")


def test_a_reader_that_went_away_is_no_reason_to_stop(to: Log) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    logs.configure(fd=writer)
    log.info("into nothing")
    os.close(writer)
    log.info("into less")


def test_a_reader_that_does_not_read_costs_a_line_and_not_the_work(
    to: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "_FULL_WAIT", 0)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(writer, b"x" * 4096)
    logs.configure(fd=writer)
    log.info("dropped")
    os.read(reader, 65536)
    log.info("read")
    assert os.read(reader, 65536).endswith(b"qm.test read\n")
    os.close(reader)
    os.close(writer)


def test_levels_are_of_all_loggers_and_of_some(to: Log) -> None:
    to.configure("warning,qm.test=debug,qm.other=error")
    log.debug("1")
    logging.getLogger("qm.test.below").debug("2")
    logging.getLogger("qm").info("3")
    logging.getLogger("qm.other").warning("4")
    logging.getLogger("elsewhere").warning("5")
    assert [match[5] for match in HEAD.finditer(to.text())] == ["1", "2", "5"]


def test_configuring_again_leaves_nothing_of_before(to: Log) -> None:
    to.configure("info,qm.test=debug", "json")
    logs.bind(task="t")
    to.configure()
    log.debug("1")
    log.info("2")
    match = HEAD.fullmatch(to.text())
    assert match is not None
    assert match[4] is None


@pytest.mark.parametrize("level", ["loud", "", "info,", "=debug", "qm.wire=loud", "info;qm=debug"])
def test_an_unknown_level_is_refused_with_those_there_are(to: Log, level: str) -> None:
    with pytest.raises(BadRequest, match="is not a log level") as raised:
        to.configure(level)
    assert "debug, info, warning, error, critical" in str(raised.value.hint)
    log.info("still")
    assert "still" in to.text()


@pytest.mark.parametrize("level", ["DEBUG", " debug ", "debug"])
def test_a_level_may_be_written_in_any_way(level: str) -> None:
    assert logs.parse_levels(level) == {"": logging.DEBUG}


def test_an_unknown_format_is_refused_with_those_there_are(to: Log) -> None:
    with pytest.raises(BadRequest, match="'xml' is not a log format") as raised:
        to.configure(format="xml")
    assert raised.value.hint == "one of text, json"


def test_other_handlers_get_the_record_as_it_was(to: Log, caplog: pytest.LogCaptureFixture) -> None:
    logs.bind(task="t")
    log.info("%s", "x" * 5000)
    (record,) = caplog.records
    assert record.args == ("x" * 5000,)
    assert not hasattr(record, "task")


def test_a_wrong_call_of_the_logger_says_what_it_can(to: Log) -> None:
    (handler,) = (h for h in logging.getLogger().handlers if isinstance(h, logs.LineHandler))
    handler.handle(logging.makeLogRecord({"msg": "%d tasks", "args": ("many",)}))
    assert "%d tasks ('many',) (a wrong call of the logger: " in to.text()


def test_without_configuration_binding_does_nothing() -> None:
    """As in a program that logs in its own way."""
    logs.bind(task="t")
    logs.unbind("task")


def test_it_goes_to_stderr(tmp_path: Path) -> None:
    script = "import logging; from qm import logs; logs.configure(); logging.info('hello')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert done.stderr.endswith("INFO    qmanager root hello\n")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ünïcode 漢 👩‍👩‍👧", "plain ünïcode 漢 👩‍👩‍👧"),
        ("a\tb\r\n", "a\\tb\\r\\n"),
        ("\x1b[31m\x9b\x7f", "\\x1b[31m\\x9b\\x7f"),
        ("\u202eevil\u2066\ud800", "\\u202eevil\\u2066\\ud800"),
    ],
)
def test_printable_leaves_text_alone_and_escapes_the_rest(text: str, shown: str) -> None:
    assert logs.printable(text) == shown


class Unshowable:
    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_a_field_that_cannot_be_shown_does_not_end_its_caller(
    to: Log, capsys: pytest.CaptureFixture[str]
) -> None:
    log.info("x", extra={"task": Unshowable()})
    assert "RuntimeError: no text" in capsys.readouterr().err


def test_a_reader_that_was_busy_gets_the_whole_line(to: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    write: Callable[[int, bytes], int] = os.write
    tries = iter([False, True])

    def busy_at_first(fd: int, data: bytes) -> int:
        if next(tries):
            return write(fd, data)
        raise BlockingIOError

    monkeypatch.setattr(os, "write", busy_at_first)
    log.info("late")
    assert to.text().endswith("qm.test late\n")
