"""The first signal asks, the second does not wait."""

from __future__ import annotations

import os
import select
import signal
import threading

import pytest

from qm.cli.signals import Signals


def readable(signals: Signals) -> bool:
    return bool(select.select([signals.fileno()], [], [], 0)[0])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_is_noted_and_wakes(number: signal.Signals) -> None:
    with Signals() as signals:
        assert signals.received is None
        assert not readable(signals)
        os.kill(os.getpid(), number)
        assert signals.received is number
        assert readable(signals)


def test_a_signal_that_another_thread_gets_wakes_too() -> None:
    """The kernel chooses; the main thread may sleep for hours."""
    with Signals() as signals:
        other = threading.Timer(0.2, lambda: signal.pthread_kill(threading.get_ident(), signal.SIGTERM))
        other.start()
        assert select.select([signals.fileno()], [], [], 10)[0], "it slept on"
        other.join()
        assert signals.received is signal.SIGTERM


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_the_second_signal_ends_the_process_with_its_code(
    number: signal.Signals, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[int] = []
    monkeypatch.setattr(os, "_exit", ended.append)
    with Signals():
        os.kill(os.getpid(), signal.SIGTERM)
        assert ended == []
        os.kill(os.getpid(), number)
        assert ended == [code]


def test_hangups_are_noted_as_often_as_they_come() -> None:
    with Signals() as signals:
        assert not signals.take_hangup()
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGHUP)
            assert readable(signals) and signals.received is None
            assert signals.take_hangup()
            assert not readable(signals) and not signals.take_hangup()


def test_a_hangup_does_not_hide_the_signal_to_stop() -> None:
    with Signals() as signals:
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.take_hangup()
        assert signals.received is signal.SIGTERM
        assert readable(signals), "it stays so"


def test_a_flood_of_hangups_fills_nothing() -> None:
    with Signals() as signals:
        for _ in range(70_000):  # more than a pipe holds
            signals._note(signal.SIGHUP, None)
        assert signals.take_hangup()
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.received is signal.SIGTERM


def test_afterwards_the_handlers_are_as_before() -> None:
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    with Signals() as signals:
        assert [
            signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        ] != before
    assert [signal.getsignal(number) for number in numbers] == before
    with pytest.raises(OSError):
        os.fstat(signals.fileno())
