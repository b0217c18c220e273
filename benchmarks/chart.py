"""A report as an SVG bar chart: the systems by durability, in two columns, light or dark as the screen is."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from benchmarks.figures import FIGURES, Figure
from benchmarks.report import Report, Summary, System
from benchmarks.table import number, times_run

#: What a reader of README wants to see; the tables have the rest.
_CHOSEN: Final = ("drain", "sustained", "latency_p50", "bulk")

_PANEL, _BETWEEN, _LEFT, _RIGHT = 420, 40, 130, 60
_ROW, _BAR, _HEAD, _GROUP, _GAP, _FOOT = 16, 10, 26, 20, 22, 40
_WIDTH: Final = 2 * _PANEL + _BETWEEN

_STYLE: Final = """
text { font: 11px system-ui, sans-serif; fill: #1f2328 }
.title { font-size: 13px; font-weight: 600 } .small { fill: #59636e }
.ours { fill: #0969da } .other { fill: #8c959f } .range { stroke: #1f2328; stroke-width: 1 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .small { fill: #9198a1 }
  .ours { fill: #4493f8 } .other { fill: #656c76 } .range { stroke: #e6edf3 }
}
"""


def chart(report: Report) -> str:
    """The whole image. Bars are medians, thin lines reach from the least to the largest run."""
    parts: list[str] = []
    y = 0
    measured = {sample.figure for sample in report.samples}
    figures = [figure for name in _CHOSEN if name in measured for figure in FIGURES if figure.name == name]
    for at in range(0, len(figures), 2):
        heights = []
        for column, figure in enumerate(figures[at : at + 2]):
            panel, height = _panel(report, figure, column * (_PANEL + _BETWEEN), y)
            parts += panel
            heights.append(height)
        y += max(heights) + _GAP
    parts += [_text(0, y + 10 + 15 * at, line, "small") for at, line in enumerate(_source(report))]
    height = y + _FOOT
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}" role="img">\n<title>qmanager beside other task queues</title>\n'
        f"<style>{_STYLE}</style>\n" + "\n".join(parts) + "\n</svg>\n"
    )


def _panel(report: Report, figure: Figure, x: int, y: int) -> tuple[list[str], int]:
    """One figure's bars, by level of durability, the best on top of each; and how high they stand."""
    better = "more is better" if figure.more_is_better else "less is better"
    parts = [
        _text(x, y + 14, figure.title, "title"),
        _text(x + _PANEL, y + 14, f"{figure.unit}, {better}", "small", "end"),
    ]
    groups = [(level, _found(report, figure, systems)) for level, systems in report.levels().items()]
    largest = max(summary.largest for _, found in groups for _, summary in found)
    scale = (_PANEL - _LEFT - _RIGHT) / max(largest, 1e-9)
    height = _HEAD
    for level, found in groups:
        if found:
            parts.append(_text(x, y + height + 10, level, "small"))
            height += _GROUP
        for system, summary in found:
            parts += _bar(system, summary, scale, x, y + height)
            height += _ROW
    return parts, height


def _found(report: Report, figure: Figure, systems: Sequence[System]) -> list[tuple[System, Summary]]:
    found = [(s, summary) for s in systems if (summary := report.summary(s.name, figure.name))]
    return sorted(found, key=lambda item: item[1].median, reverse=figure.more_is_better)


def _bar(system: System, summary: Summary, scale: float, x: int, y: int) -> list[str]:
    left, middle = x + _LEFT, y + _BAR / 2
    least, largest = left + summary.least * scale, left + summary.largest * scale
    doubt = "~" if summary.doubtful else ""
    return [
        _text(left - 8, y + 9, system.name, "", "end"),
        f'<rect class="{"ours" if system.ours else "other"}" x="{left}" y="{y}" '
        f'width="{max(1.0, summary.median * scale):.1f}" height="{_BAR}" rx="2"/>',
        f'<line class="range" x1="{least:.1f}" y1="{middle}" x2="{largest:.1f}" y2="{middle}"/>',
        _text(largest + 6, y + 9, doubt + number(summary.median)),
    ]


def _source(report: Report) -> list[str]:
    machine = report.machine
    return [
        f"{times_run(report)} Thin lines: from the least to the largest run; ~: only noisy runs.",
        f"{report.date}, {machine['processors']} × {machine['processor']}, {machine['system']}, "
        f"Python {report.versions['python']}, qmanager {report.versions['qmanager']}.",
    ]


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y}" class="{kind}" text-anchor="{anchor}">{escape(text)}</text>'
