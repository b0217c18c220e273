"""A report as a table: Markdown, which is plain enough for a terminal too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from benchmarks.figures import FIGURES, Figure
from benchmarks.report import Report, Summary

_OPENING: Final = "<!-- figures -->\n"
_CLOSING: Final = "<!-- /figures -->\n"


def markdown(report: Report) -> str:
    """The one table, and under it what must be known to read it."""
    names = [system.name for system in report.systems]
    rows = [["", "unit", *names]]
    for figure in FIGURES:
        found = [report.summary(name, figure.name) for name in names]
        if any(found):
            rows.append([figure.title, figure.unit, *(_cell(summary) for summary in found)])
    return "\n".join([*_lines(rows), "", *_notes(report)]) + "\n"


def put_into(document: str, report: Report) -> str:
    """The document with this report's table between its marks. Raises `ValueError` where it has none."""
    head, opening, rest = document.partition(_OPENING)
    _, closing, tail = rest.partition(_CLOSING)
    if not closing:
        raise ValueError(f"the document has no lines {_OPENING.strip()} and {_CLOSING.strip()}")
    return f"{head}{opening}\n{markdown(report)}\n{closing}{tail}"


def number(value: float) -> str:
    """Three significant digits, no more is known."""
    if value >= 1000:
        return f"{round(value, 2 - len(str(int(value))) + 1):,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _cell(summary: Summary | None) -> str:
    if summary is None:
        return "–"
    doubt = "~" if summary.doubtful else ""
    span = f" ({number(summary.least)}–{number(summary.largest)})" if summary.runs > 1 else ""
    return f"{doubt}{number(summary.median)}{span}"


def _lines(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]

    def line(row: Sequence[str]) -> str:
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"

    rule = "|" + "|".join(
        "-" * (width + 2) if at < 2 else "-" * (width + 1) + ":" for at, width in enumerate(widths)
    )
    return [line(rows[0]), rule + "|", *(line(row) for row in rows[1:])]


def _notes(report: Report) -> list[str]:
    noisy = len({(s.system, s.figure, s.run) for s in report.samples if s.noisy})
    machine, versions = report.machine, report.versions
    notes = [
        f"Measured {report.date} on {machine['processors']} × {machine['processor']}, {machine['memory']}, "
        f"{machine['system']}, kernel {machine['kernel']}; qmanager {versions['qmanager']}, "
        f"Python {versions['python']}, SQLite {versions['sqlite']}.",
        f"{_runs(report.runs)} {noisy:,} of {len(report.samples):,} "
        "samples were taken while the host withheld more than 15 % of the processor time; medians leave them "
        "out, except where there are no others (~).",
    ]
    for system in report.systems:
        made_of = ", ".join(f"{name} {version}" for name, version in system.versions.items())
        made_of = f" ({made_of})" if made_of else ""
        notes.append(f"**{system.name}** – {system.durability}; {system.configuration}{made_of}.")
    for failure in report.failures:
        first = failure.why.splitlines()[0] if failure.why else "no reason given"
        notes.append(f"{failure.system}, {failure.probe}, run {failure.run} failed: {first}.")
    return [line for note in notes for line in (note, "")][:-1]


def _runs(runs: int) -> str:
    return (
        f"Median of {runs} interleaved runs (least–largest)." if runs > 1 else "One run only: a first look."
    )


def shown(report: Report) -> list[Figure]:
    """The figures of which the report has samples."""
    have = {sample.figure for sample in report.samples}
    return [figure for figure in FIGURES if figure.name in have]
