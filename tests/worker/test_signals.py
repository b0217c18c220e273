"""What wakes the parent of a pool."""

from __future__ import annotations

import os
import select
import signal
import threading

import pytest

from qm.worker.signals import Signals


def readable(signals: Signals) -> bool:
    return bool(select.select([signals.fileno()], [], [], 0)[0])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_counted_and_wakes(number: int) -> None:
    signals = Signals()
    with signals:
        assert not readable(signals)
        os.kill(os.getpid(), number)
        assert (signals.heard, readable(signals)) == (1, True)
        signals.clear()
        assert not readable(signals)
        os.kill(os.getpid(), number)
        assert signals.heard == 2


def test_a_thread_wakes_without_being_counted() -> None:
    signals = Signals()
    with signals:
        thread = threading.Thread(target=signals.wake)
        thread.start()
        thread.join()
        assert (signals.heard, readable(signals)) == (0, True)


def test_waking_for_ever_does_not_block() -> None:
    signals = Signals()
    with signals:
        for _ in range(100_000):
            signals.wake()
        assert readable(signals)


def test_afterwards_everything_is_as_before_and_a_late_wake_does_nothing() -> None:
    before = signal.getsignal(signal.SIGTERM)
    signals = Signals()
    with signals:
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before
    signals.wake()


def test_where_the_deaths_of_children_were_ignored_they_are_not_inside() -> None:
    """As a program inherits it of whoever started it: the kernel then reaps children, and says nothing."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        with Signals():
            pid = os.fork()
            if pid == 0:
                os._exit(3)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3
        assert signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGCHLD, before)
