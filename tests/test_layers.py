"""Which file may import which, and what no file may do. Each rule has its reason, and shows it when broken.

The syntax tree is read, so that imports inside functions and those for types alone count too: a type from
above is as much a dependency as a call.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
QM = ROOT / "qm"

#: Stands on nothing else, so that everything can stand on it.
BOTTOM = frozenset(
    {"clock", "errors", "ids", "limits", "logs", "messages", "payload", "sealing", "task", "version"}
)


class Layer(NamedTuple):
    """What the files of one layer may import from qm, and why no more."""

    may: frozenset[str]
    why: str


def _layer(why: str, *more: str) -> Layer:
    return Layer(BOTTOM | set(more), why)


LAYERS = {
    **dict.fromkeys(BOTTOM, _layer("the bottom stands on nothing, so that everything can stand on it")),
    "environment": _layer("is read at the edges; below them settings are arguments, as time is"),
    "policy": _layer("decides from values alone, so that its tests need no store and no clock"),
    "store": _layer("keeps what was decided; a store that knew the queue could not be swapped", "policy"),
    "queue": _layer("knows verbs, not bytes, so that its tests need no socket", "policy", "store"),
    "wire": _layer("carries the bytes for both ends, so it belongs to neither"),
    "manager": _layer(
        "serves the queue; those who call it are not its business", "policy", "store", "queue", "wire"
    ),
    "client": _layer(
        "runs on other hosts: what it knows of the manager is what the wire says", "wire", "environment"
    ),
    "postgres": _layer(
        "runs in programs that only add: the database does the rest, by a function of its own", "client"
    ),
    "operations": _layer("user code starts here: it must import without a queue, a socket or a pool"),
    "worker": _layer(
        "runs on other hosts, through the client: only the manager touches the store",
        "wire",
        "environment",
        "client",
        "operations",
    ),
    "web": _layer(
        "is a process of its own, also on another host, through the client: never beside the queue",
        "wire",
        "environment",
        "client",
    ),
    "simulator": _layer(
        "judges the queue from outside: with a look inside, its audit would prove nothing",
        "wire",
        "environment",
        "client",
        "operations",
    ),
    "__init__": _layer(
        "holds what users write programs with; the manager and its store would slow every import of qm",
        "postgres",
        "wire",
        "client",
        "operations",
        "worker",
    ),
}

#: Where all layers meet; nothing else may import them.
TOP = frozenset({"cli", "testing", "__main__"})


class Ban(NamedTuple):
    """A name that files under `where` must not use, except the listed ones, each for its own reason."""

    names: tuple[str, ...]
    why: str
    where: tuple[str, ...] = ("",)
    but: Mapping[str, str] = MappingProxyType({})


BANS = (
    Ban(
        ("pickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle"),
        "whoever can write what is unpickled runs code here",
    ),
    Ban(("eval", "exec", "builtins.eval", "builtins.exec"), "inputs come from other people's programs"),
    Ban(
        ("multiprocessing.Pool", "multiprocessing.pool", "concurrent.futures.ProcessPoolExecutor"),
        "one hangs and the other breaks for good when a child dies; qm.worker has a supervisor of its own",
    ),
    Ban(
        ("time.sleep",),
        "what sleeps here holds up every caller and cannot be tested without waiting: wait on a Condition",
        where=("policy", "store", "queue"),
    ),
    Ban(
        (
            "time.time",
            "time.time_ns",
            "time.monotonic",
            "time.monotonic_ns",
            "time.clock_gettime",
            "datetime.datetime.now",
            "datetime.datetime.utcnow",
            "datetime.datetime.today",
        ),
        "time is an argument or a Clock, so that a test can pass 51 hours in a microsecond",
        but={
            "clock.py": "the one place that reads time",
            "queue/commit.py": "how long one leader has worked, against its slice of real time",
            "client/patience.py": "the deadline of a caller, who waits in real time",
            "client/producing.py": "the deadline of a caller, who waits in real time",
            "client/working.py": "the deadline of a caller, who waits in real time",
            "manager/server.py": "how long stopping may take, after the queue and its Clock",
            "wire/auth.py": "the deadline of a handshake: a peer that says nothing must not hold a thread",
            "wire/frames.py": "the deadline of a frame: one that stops halfway must not hold a thread",
            "wire/shared.py": "the deadline of a call that waits while another thread reads its answer",
            "wire/tls.py": "the deadline of a read: half a record must not hold a thread",
            "worker/pool.py": "how long a drain may take: children end in real time",
        },
    ),
)


class Use(NamedTuple):
    """A full dotted name that a line of a file imports or uses."""

    name: str
    line: int


def _files() -> list[Path]:
    return sorted(QM.rglob("*.py"))


def _source(file: Path, node: ast.ImportFrom) -> str:
    """The module that `node` imports from, relative ones resolved."""
    package = file.relative_to(ROOT).parent.parts
    above = package[: len(package) - node.level + 1] if node.level else ()
    return ".".join([*above, *([node.module] if node.module else [])])


def _imports(file: Path, tree: ast.AST) -> Iterator[Use]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (Use(alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (Use(f"{_source(file, node)}.{alias.name}", node.lineno) for alias in node.names)


def _bindings(file: Path, tree: ast.AST) -> dict[str, str]:
    """The full name behind each local name that an import binds."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.partition(".")[0]
                found[alias.asname or first] = alias.name if alias.asname else first
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                found[alias.asname or alias.name] = f"{_source(file, node)}.{alias.name}"
    return found


def _dotted(node: ast.AST) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        owner = _dotted(node.value)
        return owner and f"{owner}.{node.attr}"
    return None


def _uses(file: Path, tree: ast.AST) -> Iterator[Use]:
    yield from _imports(file, tree)
    full = _bindings(file, tree)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Name, ast.Attribute)) and (dotted := _dotted(node)):
            first, dot, rest = dotted.partition(".")
            yield Use(full.get(first, first) + dot + rest, node.lineno)


def _parse(file: Path) -> ast.AST:
    return ast.parse(file.read_text("utf-8"), str(file))


def forbidden_imports(file: Path, tree: ast.AST) -> list[str]:
    """What `file` imports from qm that its layer may not, each with the reason."""
    here = file.relative_to(QM).parts[0].removesuffix(".py")
    if here in TOP:
        return []
    if here not in LAYERS:
        return [f"qm/{here} belongs to no layer: give it a place in LAYERS, with the reason"]
    found = []
    for name, line in _imports(file, tree):
        top, _, target = name.partition(".")
        target = target.partition(".")[0]
        if top != "qm" or target == here or target in LAYERS[here].may:
            continue
        if target in LAYERS or target in TOP:
            found.append(f"line {line}: {here} must not import {target}: {LAYERS[here].why}")
        else:
            found.append(
                f"line {line}: import {name} from the file that defines it: qm itself imports this file"
            )
    return found


def breaches(ban: Ban, file: Path, tree: ast.AST) -> list[str]:
    """Where `file` does what `ban` forbids."""
    place = file.relative_to(QM).as_posix()
    if place in ban.but or not place.startswith(ban.where):
        return []
    return [
        f"qm/{place}:{line} uses {name}"
        for name, line in _uses(file, tree)
        if any(name == banned or name.startswith(banned + ".") for banned in ban.names)
    ]


@pytest.mark.parametrize("file", _files(), ids=lambda file: file.relative_to(QM).as_posix())
def test_a_file_imports_only_what_stands_below_it(file: Path) -> None:
    assert forbidden_imports(file, _parse(file)) == []


@pytest.mark.parametrize("ban", BANS, ids=lambda ban: ban.names[0])
def test_no_file_does_what_is_forbidden(ban: Ban) -> None:
    found = [breach for file in _files() for breach in breaches(ban, file, _parse(file))]
    assert found == [], ban.why


@pytest.mark.parametrize("ban", BANS, ids=lambda ban: ban.names[0])
def test_every_exception_is_still_needed(ban: Ban) -> None:
    strict = ban._replace(but={})
    idle = [place for place in ban.but if not breaches(strict, QM / place, _parse(QM / place))]
    assert idle == [], "these do not need their exception any more"


def test_only_live_tests_sleep() -> None:
    tests = (ROOT / "tests").rglob("*.py")
    unhurried = [file for file in tests if "live" not in file.parts]
    found = [file for file in unhurried if any(use.name == "time.sleep" for use in _uses(file, _parse(file)))]
    assert found == [], "pass time in, or wait on an Event; tests/live is for what needs real time"


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("client.py", "from qm.store.sqlite import SQLiteStore"),
        ("client.py", "import qm.queue"),
        ("client.py", "def f():\n    from qm import manager"),
        ("worker/pool.py", "if TYPE_CHECKING:\n    from qm.store.base import Store"),
        ("worker/pool.py", "from ..queue import add"),
        ("worker/pool.py", "from qm import Task"),
        ("web/app.py", "import qm.manager as m"),
        ("store/base.py", "from qm.testing import FakeClock"),
        ("drawer.py", "import json"),
    ],
)
def test_the_rules_catch_every_way_to_import(file: str, source: str) -> None:
    assert len(forbidden_imports(QM / file, ast.parse(source))) == 1


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "eval('1')",
        "from time import monotonic as clock\nclock()",
        "import time as t\nfield = t.time",
        "import datetime\ndatetime.datetime.now()",
        "from datetime import datetime\ndatetime.now()",
        "import multiprocessing as mp\nmp.Pool(2)",
        "from concurrent.futures import ProcessPoolExecutor",
        "from multiprocessing.pool import Pool",
        "import time\ntime.sleep(1)",
    ],
)
def test_the_bans_catch_every_way_to_say_it(source: str) -> None:
    tree = ast.parse(source)
    assert any(breaches(ban, QM / "queue" / "add.py", tree) for ban in BANS)


def test_the_bans_leave_namesakes_alone() -> None:
    tree = ast.parse("import re\nself.exec(1)\nconnection.eval\nclock.time.time()\nmodel.eval()")
    assert not any(breaches(ban, QM / "queue" / "add.py", tree) for ban in BANS)
