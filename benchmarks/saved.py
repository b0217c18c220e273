"""Reports of one kind each: kept as JSON, read back, shown as a table."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from benchmarks.machine import machine, versions

S = TypeVar("S", bound="Saved")


def today() -> str:
    """The moment of a measurement, as reports have it."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")


class Saved(msgspec.Struct, kw_only=True):
    """When, where and with what something was measured; its kinds say what."""

    date: str = msgspec.field(default_factory=today)
    machine: dict[str, str] = msgspec.field(default_factory=machine)
    versions: dict[str, str] = msgspec.field(default_factory=versions)

    def save(self, path: Path) -> None:
        """Writes it as JSON."""
        path.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n")

    @classmethod
    def load(cls: type[S], path: Path) -> S:
        """Reads what `save` wrote. Raises `OSError`, `msgspec.DecodeError`."""
        return msgspec.json.decode(path.read_bytes(), type=cls)

    def markdown(self) -> str:
        """A table, and under it what must be known to read it."""
        raise NotImplementedError


def report(name: str, options: dict[str, Any], kind: type[S], measure: Callable[[], S]) -> int:
    """Measures, or reads what --from names; writes to what --json names, and prints. Gives the exit code."""
    try:
        found = kind.load(Path(options["--from"])) if options["--from"] else measure()
        if options["--json"]:
            found.save(Path(options["--json"]))
    except (OSError, ValueError, msgspec.DecodeError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    print(found.markdown(), end="")
    return 0
