"""The servers that peers need, each fresh, in a folder of its own and on a free port."""

from __future__ import annotations

import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.peers import postgres
from benchmarks.program import program, wait_until

#: What brings each program on Debian.
_PACKAGES: Final = {"redis-server": "redis-server", "beanstalkd": "beanstalkd"}

_REDIS: Final = ("redis-server", "--save", "", "--bind", "127.0.0.1", "--port", "{port}", "--dir", "{folder}")
_COMMANDS: Final[dict[str, tuple[str, ...]]] = {
    "redis": (*_REDIS, "--appendonly", "no"),
    "redis-synced": (*_REDIS, "--appendonly", "yes", "--appendfsync", "always"),
    "beanstalkd": ("beanstalkd", "-l", "127.0.0.1", "-p", "{port}"),
}


class Server(NamedTuple):
    """Where a running server is, host:port or a folder, and its pid where it is a process."""

    place: str
    pid: int | None


def check(kind: str) -> None:
    """Raises `ValueError` with the package to install where the server's program is missing."""
    if kind == "postgres" and (why := postgres.missing()):
        raise ValueError(why)
    if kind in _COMMANDS and shutil.which(name := _COMMANDS[kind][0]) is None:
        raise ValueError(f"{name} is not installed; on Debian: apt-get install {_PACKAGES[name]}")


@contextmanager
def server(kind: str) -> Iterator[Server]:
    """A running server; for the kind "folder" a fresh folder."""
    with tempfile.TemporaryDirectory(prefix="qmanager-bench.") as name:
        folder = Path(name)
        if kind == "folder":
            yield Server(name, None)
            return
        port = _free_port()
        command = _command(kind, folder, port)
        log = folder / "server.log"
        with program(command, {}, log) as process:
            wait_until(lambda: _answers(port), process, kind, log)
            yield Server(f"127.0.0.1:{port}", process.pid)


def _command(kind: str, folder: Path, port: int) -> list[str]:
    if kind == "postgres":
        return postgres.command(folder, port)
    words = {"{port}": str(port), "{folder}": str(folder)}
    return [words.get(word, word) for word in _COMMANDS[kind]]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1.0).close()
    except OSError:
        return False
    return True
