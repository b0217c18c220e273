"""Tables for terminals."""

from __future__ import annotations

import pytest

from qm.cli.table import Column, print_table

COLUMNS = (
    Column[str]("ID", lambda text: f"id-{len(text)}", width=6, whole=True),
    Column[str]("TYPE", lambda text: "a-long-type", width=6),
    Column[str]("WIDE", lambda text: "wide", width=4, from_width=100),
    Column[str]("RESULT", lambda text: text),
)


def printed(capsys: pytest.CaptureFixture[str], width: int, *records: str) -> list[str]:
    print_table(COLUMNS, records, width)
    return capsys.readouterr().out.splitlines()


def test_columns_stand_below_their_titles(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, 40, "abc") == [
        "ID      TYPE    RESULT",
        "id-3    a-lon…  abc",
    ]


def test_a_wide_terminal_shows_more_columns(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, 100, "abc")[1] == "id-3    a-lon…  wide  abc"


def test_no_line_is_wider_than_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    head, line = printed(capsys, 40, "x" * 100)
    assert len(line) == 40
    assert line.endswith("x…")
    assert len(head) <= 40


def test_wide_characters_count_twice(capsys: pytest.CaptureFixture[str]) -> None:
    _, line = printed(capsys, 40, "漢" * 100)
    assert line == "id-100  a-lon…  " + "漢" * 11 + " …"


def test_an_id_is_never_cut(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, 20, "x" * 100_000)[1].startswith("id-100000  a-lon…  ")


def test_it_is_printed_as_the_records_come(capsys: pytest.CaptureFixture[str]) -> None:
    def records() -> object:
        yield "first"
        assert "first" in capsys.readouterr().out
        yield "second"

    print_table(COLUMNS, records(), 40)  # type: ignore[arg-type]
    assert "second" in capsys.readouterr().out
