"""Documents with places for what a program writes: <!-- NAME --> ... <!-- /NAME -->, each on a line."""

from __future__ import annotations


def fill(document: str, name: str, text: str) -> str:
    """The document with `text` in its place `name`. Raises `ValueError` where it has no such place."""
    opening, closing = f"<!-- {name} -->\n", f"<!-- /{name} -->\n"
    head, opened, rest = document.partition(opening)
    _, closed, tail = rest.partition(closing)
    if not (opened and closed):
        raise ValueError(f"the document has no lines {opening.strip()} and {closing.strip()}")
    return f"{head}{opening}\n{text.rstrip()}\n\n{closing}{tail}"
