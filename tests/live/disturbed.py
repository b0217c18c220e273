"""A program that calls a manager from several threads while it is interrupted, or forks, all the time.
It checks that each answer is to its own question, and prints what it did.

    python -m tests.live.disturbed interrupt|fork PORT KEY-FILE TIMES
"""

from __future__ import annotations

import faulthandler
import gc
import os
import random
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Final

from qm.errors import QueueError
from qm.wire.keys import read_key
from qm.wire.remote import Remote
from qm.wire.verbs import QueueVerbs

#: Seconds after which a call hangs for ever, and whatever the program does then is said.
_PATIENCE: Final = 60

#: Threads that share the connection with the one that is disturbed.
_OTHERS: Final = 3

Ask = Callable[[str], bool]


class Interrupted(BaseException):
    """As KeyboardInterrupt, by another signal."""


def asker(queue: QueueVerbs) -> Ask:
    """Asks for a task that is not there: the answer names it. Gives whether it is the right one; an error,
    like that another call on the connection was interrupted, is no wrong answer."""

    def ask(id_: str) -> bool:
        try:
            return list(queue.get([id_]).missing) == [id_]
        except QueueError:
            return True

    return ask


class Others:
    """The threads that go on calling meanwhile."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._stop = threading.Event()
        self.calls = self.wrong = 0
        self._threads = [threading.Thread(target=self._work, args=(n,)) for n in range(_OTHERS)]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _work(self, number: int) -> None:
        call = 0
        while not self._stop.is_set():
            call += 1
            self.wrong += not self._ask(f"other-{number}-{call}")
            self.calls += 1


def interrupt(ask: Ask, times: int) -> str:
    """Calls that a timer interrupts where it likes."""
    armed = False

    def alarm(number: int, frame: FrameType | None) -> None:
        nonlocal armed
        if armed:
            armed = False
            raise Interrupted

    signal.signal(signal.SIGALRM, alarm)
    others = Others(ask)
    interrupted = wrong = 0
    for call in range(times):
        signal.setitimer(signal.ITIMER_REAL, random.uniform(0.00001, 0.005))
        try:
            armed = True
            right = ask(f"call-{call}")
            armed = False
            wrong += not right
        except Interrupted:
            interrupted += 1
    signal.setitimer(signal.ITIMER_REAL, 0)
    others.end()
    gc.collect()
    return f"{interrupted} {others.calls} {wrong + others.wrong}"


def fork(ask: Ask, times: int) -> str:
    """Children that call on, made while others are in the middle of their calls."""
    others = Others(ask)
    failed = wrong = 0
    for number in range(times):
        pid = os.fork()
        if pid == 0:
            signal.alarm(_PATIENCE)
            os._exit(not all(ask(f"child-{number}-{call}") for call in range(5)))
        wrong += not all(ask(f"parent-{number}-{call}") for call in range(5))
        failed += os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0
    others.end()
    return f"{failed} {others.calls} {wrong + others.wrong}"


def main() -> None:
    """Disturbs itself."""
    how, port, key, times = sys.argv[1:]
    warnings.simplefilter("ignore")  # what an interrupt left open; a fork beside threads is what we want
    if how == "interrupt":  # not before a fork: its own thread would be missing in the child
        faulthandler.dump_traceback_later(_PATIENCE, exit=True)
    remote = Remote(("127.0.0.1", int(port)), read_key(Path(key)))
    print({"interrupt": interrupt, "fork": fork}[how](asker(remote.queue()), int(times)))
    remote.close()


if __name__ == "__main__":
    main()
