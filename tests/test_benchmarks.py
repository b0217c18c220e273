"""What the benchmarks make of samples. Nothing here measures time."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks.chart import chart
from benchmarks.figures import FIGURES, PROBES
from benchmarks.peers.catalog import PEERS, chosen
from benchmarks.report import Report, Sample, System
from benchmarks.table import markdown, number, put_into
from benchmarks.timing import middle_rate, percentile

DOCUMENT = Path(__file__).parents[1] / "docs" / "performance.md"


def report(*values: tuple[float, float]) -> Report:
    """A report on one system's drain, from (value, stolen)."""
    machine = dict.fromkeys(("processor", "processors", "memory", "kernel", "system"), "x")
    samples = [
        Sample(system="a <b>", figure="drain", run=run, value=value, stolen=stolen, noisy=stolen > 0.15)
        for run, (value, stolen) in enumerate(values)
    ]
    return Report(
        date="today",
        runs=len(values),
        machine=machine,
        versions={"qmanager": "1", "python": "3", "sqlite": "3"},
        systems=[System(name="a <b>", durability="none", configuration="default")],
        samples=samples,
    )


def test_noisy_runs_are_told_but_not_counted() -> None:
    summary = report((100, 0.0), (200, 0.1), (900, 0.2)).summary("a <b>", "drain")
    assert summary is not None
    assert (summary.median, summary.least, summary.largest, summary.noisy) == (150, 100, 900, 1)
    assert not summary.doubtful


def test_a_figure_of_noisy_runs_alone_is_marked() -> None:
    assert "| ~900 " in markdown(report((900, 0.2)))


def test_a_report_reads_back_as_it_was_saved(tmp_path: Path) -> None:
    saved = report((100, 0.0))
    saved.save(tmp_path / "report.json")
    assert Report.load(tmp_path / "report.json") == saved


def test_the_table_replaces_the_one_before_it() -> None:
    empty = "head\n<!-- figures -->\n<!-- /figures -->\ntail\n"
    once = put_into(empty, report((100, 0.0)))
    assert put_into(put_into(empty, report((555, 0.0))), report((100, 0.0))) == once
    assert once.startswith("head\n")
    assert once.endswith("\ntail\n")
    with pytest.raises(ValueError, match="no lines"):
        put_into("nothing here", report((100, 0.0)))


def test_the_chart_is_well_formed_whatever_systems_are_called() -> None:
    texts = [node.text for node in ElementTree.fromstring(chart(report((100, 0.0)))).iter()]
    assert "a <b>" in texts
    assert "100" in texts


@pytest.mark.parametrize(
    ("value", "said"), [(123456, "123,000"), (999.6, "1000"), (12.34, "12.3"), (0.123, "0.12"), (0, "0.00")]
)
def test_a_number_has_about_three_digits(value: float, said: str) -> None:
    assert number(value) == said


def test_only_the_middle_of_a_drain_counts() -> None:
    slow_ends = [0.0, *(10 + n / 100 for n in range(100)), 99.0]
    assert middle_rate(slow_ends) == pytest.approx(100)


def test_a_percentile_is_one_of_the_values() -> None:
    assert [percentile([3, 1, 2], percent) for percent in (1, 50, 99)] == [1, 2, 3]


def test_a_family_or_one_configuration_can_be_named() -> None:
    assert [peer.name for peer in chosen(["huey-sqlite", "huey"])] == [
        "huey sqlite",
        "huey redis",
        "huey redis synced",
    ]
    with pytest.raises(ValueError, match="no peer is called 'cellery'"):
        chosen(["cellery"])


def test_every_measurement_and_every_promise_is_documented() -> None:
    text = DOCUMENT.read_text("utf-8")
    assert [name for name in PROBES if f"| `{name}` |" not in text] == []
    assert all(peer.durability and peer.configuration for peer in PEERS)
    assert len({figure.name for figure in FIGURES}) == len(FIGURES)
