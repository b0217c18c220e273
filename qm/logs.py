"""Log lines: levelled, whole, with the task and the worker in them; for people, or as JSON.

    2026-11-24 06:07:08.123 INFO    qmworker qm.worker.pool [worker=web1:4711/0 task=order-42 attempt=1] text

Every record is one write of one line to stderr, so that processes that share it do not cut into each other's
lines. What comes from outside can neither begin a line of its own nor speak to the terminal.
"""

from __future__ import annotations

import copy
import logging
import os
import re
import select
import time
from typing import Any, Final

from qm.errors import BadRequest
from qm.limits import TRACEBACK_MAX

LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}
FORMATS: Final = ("text", "json")

#: Characters of one message and of one field's value: with them a line stays below the 4096 bytes that a pipe
#: takes as a whole.
MESSAGE_MAX: Final = 2000
_FIELD_MAX: Final = 200

#: Seconds that a line waits for a reader of a full, non-blocking stderr; then it is dropped.
_FULL_WAIT: Final = 1.0

#: Control characters, line and paragraph separators, lone surrogates, and what reverses the reading order.
_UNSAFE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

#: How loggers are named: as modules.
_LOGGER: Final = re.compile(r"[\w.-]+")

#: Attributes that every record has; whatever else is on one is a field.
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def configure(level: str = "info", format: str = "text", program: str = "qmanager", fd: int = 2) -> None:
    """Lets this process log to the descriptor `fd`, and nowhere else by an earlier call of this.

    `level`: ``info``, or with loggers of their own level ``info,qm.wire=debug``; `format`: one of `FORMATS`.
    Raises `BadRequest` for any other.
    """
    levels = parse_levels(level)
    handler = LineHandler(program, _formatter(format), fd)
    root = logging.getLogger()
    for old in _handlers():
        root.removeHandler(old)
        for name in old.loggers:
            logging.getLogger(name).setLevel(logging.NOTSET)
    for name, number in levels.items():
        logging.getLogger(name).setLevel(number)
    handler.loggers = [name for name in levels if name]
    root.addHandler(handler)


def forget_threads() -> None:
    """For a process of ours with bare threads: no line names its thread, and to ask for one that `threading`
    did not start makes a record that stays."""
    logging.logThreads = False


def bind(**fields: object) -> None:
    """From now on every line of this process has these fields. Values are shown by `str`."""
    for handler in _handlers():
        handler.fields = {**handler.fields, **fields}


def unbind(*names: str) -> None:
    """Takes fields out of the lines again; those that are not there are fine."""
    for handler in _handlers():
        handler.fields = {name: value for name, value in handler.fields.items() if name not in names}


def parse_levels(text: str) -> dict[str, int]:
    """Levels by the name of the logger; "" is that of all others. Raises `BadRequest`."""
    levels = {"": logging.INFO}
    for part in text.split(","):
        name, equals, word = part.rpartition("=")
        number = LEVELS.get(word.strip().lower())
        if number is None or (equals and not _LOGGER.fullmatch(name.strip())):
            raise BadRequest(
                f"{part.strip()[:80]!r} is not a log level",
                hint=f"one of {', '.join(LEVELS)}; for one logger more: info,qm.wire=debug",
            )
        levels[name.strip()] = number
    return levels


def printable(text: str) -> str:
    """`text` with everything escaped that could begin a line or command a terminal: ``\\n``, ``\\x1b``."""
    return _UNSAFE.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


class LineHandler(logging.Handler):
    """Writes each record by one write. Owns the process's bound fields."""

    def __init__(self, program: str, formatter: logging.Formatter, fd: int) -> None:
        super().__init__()
        self.setFormatter(formatter)
        self.fields: dict[str, object] = {}
        #: The loggers that were given levels of their own.
        self.loggers: list[str] = []
        self._program = program
        self._fd = fd

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(self._dressed(record))
        except Exception:  # a field that cannot be shown must not end its caller
            self.handleError(record)
            return
        self._write(line.encode("utf-8", "backslashreplace") + b"\n")

    def _dressed(self, record: logging.LogRecord) -> logging.LogRecord:
        """A copy, with our fields and bounded texts: other handlers get the record as it was."""
        dressed = copy.copy(record)
        for name, value in {**self.fields, **extras(record)}.items():
            vars(dressed)[name] = value if isinstance(value, (int, float)) else _cut(str(value), _FIELD_MAX)
        dressed.msg, dressed.args = _cut(_message(record), MESSAGE_MAX), None
        dressed.program = self._program
        if record.exc_info:
            dressed.exc_text = logging.Formatter().formatException(record.exc_info)[-TRACEBACK_MAX:]
            dressed.exc_info = None
        return dressed

    def _write(self, line: bytes) -> None:
        try:
            while line:
                line = line[os.write(self._fd, line) :]
        except BlockingIOError:  # somebody made the terminal non-blocking
            waiting = select.poll()
            waiting.register(self._fd, select.POLLOUT)
            if waiting.poll(_FULL_WAIT * 1000):
                self._write(line)
        except OSError:  # nobody reads us any more: no reason to stop working
            return


def extras(record: logging.LogRecord) -> dict[str, Any]:
    """The fields of a record: bound ones, and those of the call's `extra`."""
    fields = vars(record)
    return {name: fields[name] for name in fields if name not in _STANDARD and name != "program"}


class TextFormatter(logging.Formatter):
    """Lines for people. A traceback follows its line, indented, so that it cannot be taken for another."""

    def format(self, record: logging.LogRecord) -> str:
        fields = " ".join(f"{name}={_quoted(value)}" for name, value in extras(record).items())
        head = f"{self._time(record)} {record.levelname:<7} {vars(record).get('program')} {record.name} "
        line = head + (f"[{fields}] " if fields else "") + printable(record.getMessage())
        more = [text for text in (record.exc_text, record.stack_info) if text]
        return "\n    | ".join([line, *(printable(row) for text in more for row in text.splitlines())])

    @staticmethod
    def _time(record: logging.LogRecord) -> str:
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
        return f"{at}.{int(record.msecs):03d}"


def _formatter(format: str) -> logging.Formatter:
    if format == "text":
        return TextFormatter()
    if format != "json":
        raise BadRequest(f"{format[:80]!r} is not a log format", hint=f"one of {', '.join(FORMATS)}")
    from pythonjsonlogger.json import JsonFormatter  # the clients, in a hurry, do without

    class Formatter(JsonFormatter):
        def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
            at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            return f"{at}.{int(record.msecs):03d}Z"

    names = {"asctime": "time", "levelname": "level", "name": "logger", "exc_info": "exception"}
    order = "%(asctime)s %(levelname)s %(program)s %(name)s %(message)s"
    return Formatter(order, rename_fields=names)


def _handlers() -> list[LineHandler]:
    return [handler for handler in logging.getLogger().handlers if isinstance(handler, LineHandler)]


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError) as error:  # arguments that do not fit the text: say all we have
        return f"{record.msg} {record.args!r} (a wrong call of the logger: {error})"


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text) - limit} more)"


def _quoted(value: object) -> str:
    text = str(value)
    plain = text.isprintable() and text and not re.search(r"[\s\"'=\[\]]", text)
    return text if plain else repr(text)
