"""What is said to people: on stderr, in lines with the program's name. And what a terminal may be shown."""

from __future__ import annotations

import sys

from qm.logs import printable


def is_terminal() -> bool:
    """Whether a person reads what goes to stdout. Pipes get bare values, nothing escaped."""
    return sys.stdout is not None and sys.stdout.isatty()


def say(name: str, text: str) -> None:
    """A line of the program `name` to the person who started it."""
    print(f"{name}: {printable(text)}", file=sys.stderr)


def hint(text: str) -> None:
    """What to do about what was just said."""
    print(f"hint: {printable(text)}", file=sys.stderr)
