"""A report as an SVG bar chart: a panel per figure, a bar per system, light or dark as the screen is."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from benchmarks.figures import Figure
from benchmarks.report import Report
from benchmarks.table import number, shown

#: What a reader of README wants to see; the table has the rest.
_CHOSEN: Final = ("add", "add16", "bulk", "drain", "sustained_bulk", "latency_p50", "bcrypt")

_WIDTH, _LEFT, _RIGHT = 760, 190, 90
_ROW, _BAR, _HEAD, _GAP, _FOOT = 20, 13, 26, 14, 22

_STYLE: Final = """
text { font: 12px system-ui, sans-serif; fill: #1f2328 }
.title { font-weight: 600 } .small { font-size: 11px; fill: #59636e }
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
    for figure in shown(report):
        if figure.name in _CHOSEN:
            panel, height = _panel(report, figure, y)
            parts += panel
            y += height + _GAP
    parts.append(_text(0, y + 12, _source(report), "small"))
    height = y + _FOOT
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}" role="img">\n<title>Tasks per second and latencies</title>\n'
        f"<style>{_STYLE}</style>\n" + "\n".join(parts) + "\n</svg>\n"
    )


def _panel(report: Report, figure: Figure, y: int) -> tuple[list[str], int]:
    """One figure's bars, the best on top, and how high they stand."""
    found = [(name, s) for name in _names(report) if (s := report.summary(name, figure.name))]
    found.sort(key=lambda item: item[1].median, reverse=figure.more_is_better)
    scale = (_WIDTH - _LEFT - _RIGHT) / max(max(s.largest for _, s in found), 1e-9)
    better = "more is better" if figure.more_is_better else "less is better"
    parts = [
        _text(0, y + 15, figure.title, "title"),
        _text(_WIDTH, y + 15, f"{figure.unit}, {better}", "small", "end"),
    ]
    for at, (name, summary) in enumerate(found):
        top = y + _HEAD + at * _ROW
        kind = "ours" if name.startswith("qmanager") else "other"
        middle = top + _BAR / 2
        doubt = "~" if summary.doubtful else ""
        parts += [
            _text(_LEFT - 8, top + 11, name, "", "end"),
            f'<rect class="{kind}" x="{_LEFT}" y="{top}" width="{max(1.0, summary.median * scale):.1f}" '
            f'height="{_BAR}" rx="2"/>',
            f'<line class="range" x1="{_LEFT + summary.least * scale:.1f}" y1="{middle}" '
            f'x2="{_LEFT + summary.largest * scale:.1f}" y2="{middle}"/>',
            _text(_LEFT + summary.largest * scale + 6, top + 11, doubt + number(summary.median)),
        ]
    return parts, _HEAD + len(found) * _ROW


def _names(report: Report) -> Sequence[str]:
    return [system.name for system in report.systems]


def _source(report: Report) -> str:
    return (
        f"{report.date}, {report.machine['processors']} × {report.machine['processor']}; "
        f"median of {report.runs} runs, lines from least to largest; ~ only noisy runs. make bench"
    )


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y}" class="{kind}" text-anchor="{anchor}">{escape(text)}</text>'
