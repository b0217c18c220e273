"""How far a long command is."""

from __future__ import annotations

import sys

import pytest

from qm.cli.meter import Bar, Lines, meter
from qm.testing import FakeClock


def test_without_a_terminal_it_is_a_line_every_five_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    clock = FakeClock()
    with Lines("qmtest", clock) as lines:
        lines.show("1 task", 1)
        clock.advance(4.9)
        lines.show("2 tasks", 2)
        assert capsys.readouterr().err == ""
        clock.advance(0.1)
        lines.show("3 tasks", 3)
        lines.show("4 tasks", 4)
        clock.advance(5)
        lines.show("5 tasks", 5)
    assert capsys.readouterr() == ("", "qmtest: 3 tasks\nqmtest: 5 tasks\n")


def test_a_terminal_gets_a_bar_on_stderr(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(meter("qmtest", 10), Lines)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    with meter("qmtest", 10) as bar:
        assert isinstance(bar, Bar)
        bar.show("7 tasks [bold]", 7)
    said = capsys.readouterr()
    assert said.out == ""
    assert "7 tasks [bold]" in said.err, "and brackets are brackets"
