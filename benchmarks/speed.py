"""A report in a few lines, for README: ours beside the best of the others, at each level of durability."""

from __future__ import annotations

from typing import Final

from benchmarks.figures import FIGURES, Figure
from benchmarks.report import Level, Report, Summary, System
from benchmarks.table import lines_of, number, provenance, times_run

_CHOSEN: Final = ("add", "bulk", "drain", "sustained", "latency_p50", "bcrypt")


def speed(report: Report) -> str:
    """A small table and where its figures are from, as Markdown."""
    levels = report.levels()
    rows = [["", "unit", *levels]]
    for figure in (figure for figure in FIGURES if figure.name in _CHOSEN):
        cells = [_cell(report, figure, systems) for systems in levels.values()]
        if any(cells):
            rows.append([figure.title, figure.unit, *(cell or "–" for cell in cells)])
    return "\n".join([*lines_of(rows), "", _notes(report, levels)]) + "\n"


def best(report: Report, figure: Figure, systems: list[System]) -> tuple[str, Summary] | None:
    """The name and the figure of the best of these; None where none was measured."""
    found = [(s.name, summary) for s in systems if (summary := report.summary(s.name, figure.name))]
    if not found:
        return None
    return (max if figure.more_is_better else min)(found, key=lambda item: item[1].median)


def _cell(report: Report, figure: Figure, systems: list[System]) -> str:
    ours = best(report, figure, [s for s in systems if s.ours])
    theirs = best(report, figure, [s for s in systems if not s.ours])
    parts = [f"**{_median(ours[1])}**"] if ours else []
    parts += [f"{theirs[0]} {_median(theirs[1])}"] if theirs else []
    return " · ".join(parts)


def _median(summary: Summary) -> str:
    return f"{'~' if summary.doubtful else ''}{number(summary.median)}"


def _notes(report: Report, levels: dict[Level, list[System]]) -> str:
    ours = "; ".join(f"{s.name}: {level}" for level, found in levels.items() for s in found if s.ours)
    others = [s.name for s in report.systems if not s.ours]
    runs = times_run(report).removesuffix(" (least–largest).").removesuffix(".")
    return (
        f"Bold: qmanager with its default settings and two worker processes ({ours}); beside it the best of "
        f"the others at the same durability, of {', '.join(others) or 'none'}. {provenance(report)} {runs}; "
        "~: only noisy runs."
    )
