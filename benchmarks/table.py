"""A report as a table: Markdown, which is plain enough for a terminal too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from benchmarks.figures import FIGURES
from benchmarks.report import NOISY, Report, Summary, System


class Measured(Protocol):
    """What says when, where and with what it was measured."""

    date: str
    machine: dict[str, str]
    versions: dict[str, str]


def markdown(report: Report) -> str:
    """A table of ours alone, or one per level of durability where others stand beside us; and under it what
    must be known to read it."""
    if len(levels := report.levels()) == 1 or all(system.ours for system in report.systems):
        lines = _table(report, report.systems)
    else:
        lines = []
        for level, systems in levels.items():
            lines += [f"### {level.capitalize()}", "", *_table(report, systems), ""]
        lines.pop()
    return "\n".join([*lines, "", *_notes(report)]) + "\n"


def _table(report: Report, systems: Sequence[System]) -> list[str]:
    names = [system.name for system in systems]
    rows = [["", "unit", *names]]
    for figure in FIGURES:
        found = [report.summary(name, figure.name) for name in names]
        if any(found):
            rows.append([figure.title, figure.unit, *(_cell(summary) for summary in found)])
    return lines_of(rows)


def number(value: float) -> str:
    """Three significant digits, no more is known."""
    if value >= 1000:
        return f"{round(value, 2 - len(str(int(value))) + 1):,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _cell(summary: Summary | None) -> str:
    if summary is None:
        return "–"
    doubt = "~" if summary.doubtful else ""
    remarks = [f"{number(summary.least)}–{number(summary.largest)}"] if summary.runs > 1 else []
    if summary.noisy:
        remarks.append(f"{summary.noisy} noisy")
    remark = f" ({', '.join(remarks)})" if remarks else ""
    return f"{doubt}{number(summary.median)}{remark}"


def lines_of(rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table; the first row is its head, figures stand right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]

    def line(row: Sequence[str]) -> str:
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"

    rule = "|" + "|".join(
        "-" * (width + 2) if at < 2 else "-" * (width + 1) + ":" for at, width in enumerate(widths)
    )
    return [line(rows[0]), rule + "|", *(line(row) for row in rows[1:])]


def provenance(report: Measured) -> str:
    """When, where, with what."""
    machine, versions = report.machine, report.versions
    return (
        f"Measured {report.date} on {machine['processors']} × {machine['processor']}, {machine['memory']}, "
        f"{machine['system']}, kernel {machine['kernel']}; qmanager {versions['qmanager']}, "
        f"Python {versions['python']}, SQLite {versions['sqlite']}."
    )


def times_run(report: Report) -> str:
    """How far the medians are to be trusted, in a word."""
    if report.runs == 1:
        return "One run only: a first look."
    return f"Median of {report.runs} interleaved runs (least–largest)."


def _notes(report: Report) -> list[str]:
    noisy = len({(s.system, s.figure, s.run) for s in report.samples if s.noisy})
    notes = [
        provenance(report),
        f"{times_run(report)} {noisy:,} of {len(report.samples):,} samples are noisy: the host withheld more "
        f"than {100 * NOISY:.0f} % of the processor time meanwhile, or other programs used as much just "
        "before or after; medians leave them out, except where there are no others (~).",
    ]
    for system in report.systems:
        made_of = ", ".join(f"{name} {version}" for name, version in system.versions.items())
        made_of = f" ({made_of})" if made_of else ""
        notes.append(f"**{system.name}** – {system.durability}; {system.configuration}{made_of}.")
    for failure in report.failures:
        first = failure.why.splitlines()[0] if failure.why else "no reason given"
        notes.append(f"{failure.system}, {failure.probe}, run {failure.run} failed: {first}.")
    return [line for note in notes for line in (note, "")][:-1]
