"""Tables for terminals: a line a record, as they come, cut to the terminal's width."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Generic, NamedTuple, TypeVar

R = TypeVar("R")

_GAP: Final = "  "

#: Characters that are left to a sharing column even on a narrow terminal.
_SHARE_MIN: Final = 12


class Column(NamedTuple, Generic[R]):
    """A column. `width` 0: shares what the others leave. `whole`: is never cut. It is left out on terminals
    narrower than `from_width`."""

    title: str
    text: Callable[[R], str]
    width: int = 0
    whole: bool = False
    from_width: int = 0


def print_table(columns: Sequence[Column[R]], records: Iterable[R], width: int | None = None) -> None:
    """Prints a table; `width` None: the terminal's."""
    across = width or shutil.get_terminal_size().columns
    shown = [column for column in columns if across >= column.from_width]
    fixed = sum(column.width for column in shown) + len(_GAP) * (len(shown) - 1)
    sharing = sum(1 for column in shown if not column.width)
    share = max((across - fixed) // max(sharing, 1), _SHARE_MIN)
    print(_line(shown, [column.title for column in shown], share))
    for record in records:
        print(_line(shown, [column.text(record) for column in shown], share))


def _line(columns: Sequence[Column[R]], texts: Sequence[str], share: int) -> str:
    fitted = [_fit(c, text, c.width or share) for c, text in zip(columns, texts, strict=True)]
    return _GAP.join(fitted).rstrip()


def _fit(column: Column[R], text: str, width: int) -> str:
    """`text` in so many cells of the terminal: many characters take two, or none."""
    from rich.cells import cell_len, set_cell_size  # only tables need it

    if cell_len(text) > width:
        return text if column.whole else set_cell_size(text, width - 1) + "…"
    return set_cell_size(text, width)
