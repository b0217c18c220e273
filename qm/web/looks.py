"""Questions to the manager, shared by all who ask the same, and never waited for for long.

A page must neither hang with the manager nor press it: of each question at most one is under way, whoever
asks the same meanwhile shares its answer, and nobody waits for one that takes too long already. So a frozen
manager leaves the server's threads free.
"""

from __future__ import annotations

import _thread
import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any, Final, NamedTuple, TypeVar, cast

from qm.clock import Clock
from qm.errors import TimedOut

T = TypeVar("T")

#: Seconds after its start for which a look is waited for; longer than the patience, which has better words.
LOOK_TIMEOUT: Final = 2.0

#: ... and after which it is forgotten: its call would have timed out by now, so its thread has died, as where
#: there was no memory for its first step.
_LOST: Final = 60.0

#: Looks under way at once: what a frozen manager holds of our threads and connections.
LOOKS_MAX: Final = 16


class _Look(NamedTuple):
    result: Future[Any]
    deadline: float


class Looks:
    """The looks under way. Thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._looks: dict[Hashable, _Look] = {}

    def share(self, question: Hashable, ask: Callable[[], T]) -> T:
        """The answer of `ask`, or of the one under way for the same question.

        Raises what `ask` raises, and `TimedOut` where that takes too long or too many are under way.
        """
        look = self._current(question, ask)
        try:
            return cast(T, look.result.result(max(0.0, look.deadline - self._clock.monotonic())))
        except TimeoutError:
            raise _too_long() from None

    def _current(self, question: Hashable, ask: Callable[[], Any]) -> _Look:
        with self._lock:
            look = self._looks.get(question)
            if look is None or self._is_over(look):
                self._sweep()
                look = _Look(Future(), self._clock.monotonic() + LOOK_TIMEOUT)
                # not a `threading.Thread`, which waits for its first step, and with it all who want the lock
                _thread.start_new_thread(_go, (look.result, ask))
                self._looks[question] = look
            return look

    def _is_over(self, look: _Look) -> bool:
        return look.result.done() or self._clock.monotonic() > look.deadline + _LOST

    def _sweep(self) -> None:
        """Forgets the looks that are over. Raises `TimedOut` where too many are not."""
        for question in [question for question, look in self._looks.items() if self._is_over(look)]:
            del self._looks[question]
        if len(self._looks) >= LOOKS_MAX:
            raise _too_long()


def _go(result: Future[Any], ask: Callable[[], Any]) -> None:
    try:
        result.set_result(ask())
    except BaseException as error:  # it belongs to those who wait
        result.set_exception(error)


def _too_long() -> TimedOut:
    return TimedOut("the manager does not answer", hint="it may be stopped, or very busy")
