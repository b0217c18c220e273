"""KeyboardInterrupt where a test wants it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def interrupted_after(ready: Callable[[], object]) -> Iterator[None]:
    """What the main thread does inside is interrupted, once, when `ready` has returned in another thread.

    The signal is sent until it is heard: one that comes just before a lock is waited for goes unnoticed.
    """
    main, heard = threading.get_ident(), threading.Event()

    def interrupt(number: int, frame: FrameType | None) -> None:
        if not heard.is_set():
            heard.set()
            raise KeyboardInterrupt

    def disturb() -> None:
        ready()
        signal.pthread_kill(main, signal.SIGUSR1)
        while not heard.wait(0.01):
            signal.pthread_kill(main, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, interrupt)
    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        yield
    finally:
        thread.join()
        signal.signal(signal.SIGUSR1, before)
