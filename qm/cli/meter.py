"""How far a long command is, on stderr: a bar on a terminal, else a line every five seconds."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Final, Protocol

from qm.cli.terminal import say
from qm.clock import Clock, SystemClock

#: Seconds between two lines where there is no terminal.
_EVERY: Final = 5.0


class Meter(Protocol):
    """Shows how far it is, between `with` and its end."""

    def __enter__(self) -> Meter: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, note: str, done: int) -> None:
        """`note` in words; `done` of the total."""


def meter(name: str, total: int | None) -> Meter:
    """The meter that fits stderr, for the program `name`. `total` None: nobody knows."""
    return Bar(total) if sys.stderr.isatty() else Lines(name, SystemClock())


class Lines:
    """A line now and then, for logs."""

    def __init__(self, name: str, clock: Clock) -> None:
        self._name = name
        self._clock = clock
        self._next = 0.0

    def __enter__(self) -> Lines:
        self._next = self._clock.monotonic() + _EVERY
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is left behind."""

    def show(self, note: str, done: int) -> None:
        """See `Meter`."""
        if self._clock.monotonic() >= self._next:
            self._next = self._clock.monotonic() + _EVERY
            say(self._name, note)


class Bar:
    """A bar that is gone at the end."""

    def __init__(self, total: int | None) -> None:
        from rich.console import Console  # a third of the start-up time of a client
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (BarColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
        self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
        self._task = self._progress.add_task("", total=total)

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show(self, note: str, done: int) -> None:
        """See `Meter`."""
        self._progress.update(self._task, description=note, completed=done)
