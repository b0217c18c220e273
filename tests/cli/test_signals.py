"""The first signal asks, the second does not wait."""

from __future__ import annotations

import os
import select
import signal

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


def test_afterwards_the_handlers_are_as_before() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    with Signals() as signals:
        assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] != before
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before
    with pytest.raises(OSError):
        os.fstat(signals.fileno())
