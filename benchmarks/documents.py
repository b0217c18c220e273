"""Writes what was measured into the documents: python -m benchmarks.documents

docs/measured/ has the reports as --json wrote them: qmanager.json, peers.json, backlog.json, anatomy.json,
recovery.json, connections.json, postgres.json. From them come the tables of docs/performance.md,
docs/performance-peers.md, docs/guarantees.md, docs/limits.md and docs/postgresql.md, README's few lines and
its chart. Where a report is missing, what would be written from it stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from benchmarks.anatomy.report import AnatomyReport
from benchmarks.backlog.report import BacklogReport
from benchmarks.chart import chart
from benchmarks.connections.report import ConnectionsReport
from benchmarks.document import fill
from benchmarks.program import ROOT
from benchmarks.recovery.report import RecoveryReport
from benchmarks.report import Report
from benchmarks.speed import speed
from benchmarks.table import markdown

_MEASURED: Final = Path("docs/measured")

#: Which report goes where: the place is a document and the name of its marks, or a whole file.
_PLACES: Final[tuple[tuple[str, str, str | None, Callable[[Path], str]], ...]] = (
    ("qmanager", "docs/performance.md", "figures", lambda path: markdown(Report.load(path))),
    ("backlog", "docs/performance.md", "backlog", lambda path: BacklogReport.load(path).markdown()),
    ("anatomy", "docs/performance.md", "anatomy", lambda path: AnatomyReport.load(path).markdown()),
    ("recovery", "docs/guarantees.md", "recovery", lambda path: RecoveryReport.load(path).markdown()),
    ("connections", "docs/limits.md", "connections", lambda path: ConnectionsReport.load(path).markdown()),
    ("postgres", "docs/postgresql.md", "figures", lambda path: markdown(Report.load(path))),
    ("peers", "docs/performance-peers.md", "figures", lambda path: markdown(Report.load(path))),
    ("peers", "README.md", "speed", lambda path: speed(Report.load(path))),
    ("peers", "docs/speed.svg", None, lambda path: chart(Report.load(path))),
)


def documents(root: Path = ROOT) -> dict[Path, str]:
    """What each document should say. Raises `ValueError` where one has no place for it."""
    found: dict[Path, str] = {}
    for name, target, mark, text in _PLACES:
        report, document = root / _MEASURED / f"{name}.json", root / target
        if report.exists():
            written = found.get(document) or (document.read_text("utf-8") if mark else "")
            found[document] = fill(written, mark, text(report)) if mark else text(report)
    return found


def main() -> None:
    """Writes them."""
    for document, text in documents().items():
        document.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
