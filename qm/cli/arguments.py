"""What docopt found, as values: numbers, seconds, paths, or an error that names the flag."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from qm.errors import BadRequest

_SECONDS: Final = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION: Final = re.compile(r"(\d+(?:\.\d*)?|\.\d+)([smhd]?)", re.ASCII)


class Arguments:
    """A command line. `name` is as in the usage: ``--id``, ``get``."""

    def __init__(self, found: Mapping[str, Any]) -> None:
        self._found = found

    def has(self, name: str) -> bool:
        """Whether a flag or command was given."""
        return bool(self._found.get(name))

    def count(self, name: str) -> int:
        """How often a flag was given."""
        return int(self._found.get(name) or 0)

    def text(self, name: str) -> str | None:
        """The value of an option, the last one given; None where it was left out."""
        values = self.texts(name)
        return values[-1] if values else None

    def texts(self, name: str) -> list[str]:
        """All values of an option that may be repeated."""
        value = self._found.get(name)
        if value is None:
            return []
        return list(value) if isinstance(value, list) else [value]

    def ids(self) -> list[str]:
        """The ids, each once: as plain words, or each with --id."""
        return list(dict.fromkeys([*self.texts("ID"), *self.texts("--id")]))

    def path(self, name: str) -> Path | None:
        """A file's name."""
        value = self.text(name)
        return None if value is None else Path(value)

    def one_of(self, name: str, words: tuple[str, ...]) -> str | None:
        """One of `words`. Raises `BadRequest`."""
        value = self.text(name)
        if value is not None and value not in words:
            raise BadRequest(f"{name} is one of {', '.join(words)}, not {value[:80]!r}")
        return value

    def whole(self, name: str) -> int | None:
        """A whole number. Raises `BadRequest`."""
        value = self.text(name)
        if value is None:
            return None
        if not re.fullmatch(r"[+-]?\d{1,18}", value, re.ASCII):
            raise BadRequest(f"{name} is a whole number, not {value[:80]!r}")
        return int(value)

    def seconds(self, name: str) -> float | None:
        """A duration: ``10``, ``0.5``, ``10s``, ``5m``, ``2h``, ``1d``. Raises `BadRequest`."""
        value = self.text(name)
        return None if value is None else seconds(value, name)


def seconds(text: str, name: str) -> float:
    """The seconds in `text`; `name` is what it is given for. Raises `BadRequest`."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise BadRequest(f"{name} is a time, not {text[:80]!r}", hint="in seconds, or as 10s, 5m, 2h, 1d")
    return float(match[1]) * _SECONDS[match[2]]
