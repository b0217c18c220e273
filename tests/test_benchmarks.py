"""What the benchmarks make of samples. Nothing here measures time."""

from __future__ import annotations

import os
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks.anatomy.calls import Call
from benchmarks.anatomy.report import AnatomyReport
from benchmarks.backlog.queue import Backlog, backlog
from benchmarks.backlog.report import BacklogReport, Size, Verb
from benchmarks.chart import chart
from benchmarks.completing import drained
from benchmarks.connections.report import ConnectionsReport
from benchmarks.document import fill
from benchmarks.documents import documents
from benchmarks.figures import FIGURES, PROBES, SHARED
from benchmarks.peers.catalog import PEERS, chosen
from benchmarks.probe import ours
from benchmarks.recovery.report import RecoveryReport
from benchmarks.report import Level, Report, Sample, System
from benchmarks.speed import speed
from benchmarks.stamps import VARIABLE, Stamper, Stamps
from benchmarks.table import markdown, number
from benchmarks.timing import middle_rate, percentile
from benchmarks.usage import cpu_seconds
from qm.limits import SESSION_TERM
from qm.queue import Queue
from qm.queue.session import end_silent
from qm.store.sqlite.store import SQLiteStore
from qm.testing.clock import FakeClock

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "performance.md"
MACHINE = dict.fromkeys(("processor", "processors", "memory", "kernel", "system"), "x")
VERSIONS = {"qmanager": "1", "python": "3", "sqlite": "3"}


def report(*values: tuple[float, float]) -> Report:
    """A report on one system's drain, from (value, stolen)."""
    samples = [
        Sample(
            system="a <b>",
            figure="drain",
            run=run,
            value=value,
            stolen=stolen,
            others=0.0,
            noisy=stolen > 0.15,
        )
        for run, (value, stolen) in enumerate(values)
    ]
    return Report(
        date="today",
        runs=len(values),
        machine=MACHINE,
        versions=VERSIONS,
        systems=[System(name="a <b>", level=Level.MEMORY, durability="none", configuration="default")],
        samples=samples,
    )


def test_noisy_runs_are_told_but_not_counted() -> None:
    summary = report((100, 0.0), (200, 0.1), (900, 0.2)).summary("a <b>", "drain")
    assert summary is not None
    assert (summary.median, summary.least, summary.largest, summary.noisy) == (150, 100, 900, 1)
    assert not summary.doubtful


def test_the_table_tells_how_many_runs_were_noisy() -> None:
    assert "| 150 (100–900, 1 noisy) |" in markdown(report((100, 0.0), (200, 0.1), (900, 0.2)))


def beside_another() -> Report:
    """Three systems at two levels: ours in memory beside a slower one, and a faster one that keeps more."""
    found = report()
    found.systems = [
        System(name=name, level=level, durability="none", configuration="default")
        for name, level in (
            ("qmanager memory", Level.MEMORY),
            ("slow", Level.MEMORY),
            ("fast", Level.SYNCED),
        )
    ]
    found.samples = [
        Sample(system=name, figure=figure, run=1, value=value, stolen=0.0, others=0.0, noisy=False)
        for name, value in (("qmanager memory", 20.0), ("slow", 10.0), ("fast", 30.0))
        for figure in ("drain", "latency_p50")
    ]
    return found


def test_only_systems_of_equal_durability_stand_in_one_table() -> None:
    synced, memory = markdown(beside_another()).split("### ")[1:]
    heads = [text.splitlines()[2].replace("|", "").split() for text in (synced, memory)]
    assert heads == [["unit", "fast"], ["unit", "qmanager", "memory", "slow"]]


def test_the_few_lines_mark_a_figure_of_noisy_runs_too() -> None:
    noisy = beside_another()
    noisy.samples = [
        Sample(system="slow", figure="drain", run=1, value=10.0, stolen=0.5, others=0.0, noisy=True)
    ]
    assert "slow ~10.0" in speed(noisy)


def test_the_best_of_the_others_is_that_of_equal_durability() -> None:
    lines = [line for line in speed(beside_another()).splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0] == ["", "unit", "synced to disk", "in memory"]
    assert cells[2][2:] == ["fast 30.0", "**20.0** · slow 10.0"]
    assert cells[3][2:] == ["fast 30.0", "**20.0** · slow 10.0"]


def test_a_figure_of_noisy_runs_alone_is_marked() -> None:
    assert "| ~900 " in markdown(report((900, 0.2)))


def test_a_report_reads_back_as_it_was_saved(tmp_path: Path) -> None:
    saved = report((100, 0.0))
    saved.save(tmp_path / "report.json")
    assert Report.load(tmp_path / "report.json") == saved


def test_the_table_replaces_the_one_before_it() -> None:
    empty = "head\n<!-- figures -->\n<!-- /figures -->\ntail\n"
    once = fill(empty, "figures", "new\n")
    assert fill(fill(empty, "figures", "old\nold"), "figures", "new\n") == once
    assert once == "head\n<!-- figures -->\n\nnew\n\n<!-- /figures -->\ntail\n"
    for text in ("nothing here", "<!-- figures -->\n", "<!-- /figures -->\n"):
        with pytest.raises(ValueError, match="no lines"):
            fill(text, "figures", "new")


def test_the_chart_is_well_formed_whatever_systems_are_called() -> None:
    texts = [node.text for node in ElementTree.fromstring(chart(report((100, 0.0)))).iter()]
    assert "a <b>" in texts
    assert "100" in texts


@pytest.mark.parametrize(
    ("value", "said"), [(123456, "123,000"), (999.6, "1000"), (12.34, "12.3"), (0.123, "0.12"), (0, "0.00")]
)
def test_a_number_has_about_three_digits(value: float, said: str) -> None:
    assert number(value) == said


def test_the_best_bar_stands_on_top_of_its_durability() -> None:
    texts = [node.text for node in ElementTree.fromstring(chart(beside_another())).iter() if node.text]
    order = [text for text in texts if text in ("fast", "slow", "qmanager memory", *Level)]
    drain, latency = order[:5], order[5:]
    assert drain == ["synced to disk", "fast", "in memory", "qmanager memory", "slow"]
    assert latency == ["synced to disk", "fast", "in memory", "slow", "qmanager memory"]


def test_the_backlog_reads_back_and_tells_what_is_noisy(tmp_path: Path) -> None:
    verbs = dict.fromkeys(("add", "take", "status"), Verb(p50=20e-6, p99=1e-3))
    size = Size(
        waiting=10_000, verbs=verbs, filled=10_000, seconds=0.5, disk=3_000_000, stolen=0.0, others=0.5
    )
    saved = BacklogReport(date="today", times=1, machine=MACHINE, versions=VERSIONS, sizes=[size])
    saved.save(tmp_path / "backlog.json")
    assert BacklogReport.load(tmp_path / "backlog.json") == saved
    cells = [cell.strip() for cell in saved.markdown().splitlines()[2].strip("|").split("|")]
    assert cells == ["~10,000", *["20.0 (1,000)"] * 3, "20,000", "3.00"]


def test_the_anatomy_of_calls_reads_back_as_two_tables(tmp_path: Path) -> None:
    calls = {"add": Call(wall=200e-6, client=50e-6, manager=100e-6)}
    saved = AnatomyReport(date="today", machine=MACHINE, versions=VERSIONS, calls=calls, floors={"x": 15e-6})
    saved.save(tmp_path / "anatomy.json")
    assert AnatomyReport.load(tmp_path / "anatomy.json") == saved
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in saved.markdown().splitlines()]
    assert rows[2] == ["add", "200", "50.0", "100"]
    assert rows[6] == ["x", "15.0"]


def test_times_of_recovery_read_back_as_a_table(tmp_path: Path) -> None:
    found = {"child": [0.1, 0.3, 0.2], "host": [30.0]}
    saved = RecoveryReport(date="today", machine=MACHINE, versions=VERSIONS, seconds=found)
    saved.save(tmp_path / "recovery.json")
    assert RecoveryReport.load(tmp_path / "recovery.json") == saved
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in saved.markdown().splitlines()]
    assert rows[2] == ["its process is killed", "3", "0.20", "0.30"]
    assert rows[3] == ["its host falls silent", "1", "30.0", "30.0"]


def test_what_connections_cost_reads_back_as_a_table(tmp_path: Path) -> None:
    saved = ConnectionsReport(
        date="today",
        machine=MACHINE,
        versions=VERSIONS,
        stolen=0.25,
        idle=1000,
        silent=2000,
        alone=[0.001] * 100,
        memory=25.5,
        cpu=0.001,
        calls=[0.001] * 98 + [0.02] * 2,
        handshakes=[0.003, 0.001, 0.5],
    )
    saved.save(tmp_path / "connections.json")
    assert ConnectionsReport.load(tmp_path / "connections.json") == saved
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in saved.markdown().splitlines()]
    assert [row[1:] for row in rows[2:7]] == [
        ["KiB", "25.5"],
        ["% of one", "0.10"],
        ["ms", "1.00 / 1.00"],
        ["ms", "1.00 / 20.0"],
        ["ms", "3.00 / 500"],
    ]
    assert rows[5][0].startswith("a call beside 1,000 idle ones") and "25 %" in rows[8][0]


def test_a_backlog_stays_as_long_as_it_is_while_it_is_measured() -> None:
    with backlog() as here:
        here.grow(1_500)
        found = here.measure(3)
        here.grow(1_500)
        assert {name: len(times) for name, times in found.items()} == {"add": 3, "take": 3, "status": 3}
        assert here.waiting() == 1_500
        assert here.disk() > 0


def test_a_backlog_that_takes_longer_to_fill_than_a_session_lives_is_measured(tmp_path: Path) -> None:
    store, clock = SQLiteStore.open(tmp_path / "queue.db", durability="relaxed"), FakeClock()
    queue = Queue(store, clock)
    here = Backlog(queue, store, tmp_path)
    try:
        here.grow(100)
        here.measure(1)
        clock.advance(2 * SESSION_TERM)
        end_silent(queue.core)
        assert len(here.measure(1)["take"]) == 1
    finally:
        queue.drain()
        store.close()


def test_the_documents_say_what_was_measured() -> None:
    stale = [path.name for path, text in documents().items() if path.read_text("utf-8") != text]
    assert stale == [], "make bench-docs writes them"


def test_a_drain_is_counted_by_the_stamps_of_its_tasks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stamps = Stamps(tmp_path / "stamps")
    monkeypatch.setenv(VARIABLE, stamps.environment()[VARIABLE])
    stamp = Stamper()
    for _ in range(10):
        stamp()
    used = iter((1.0, 9.0))
    found = drained(stamps, lambda: next(used), 10)
    assert found.cpu == 8.0, "all had run at the first look: the CPU is that of one task at most"
    assert found.rate > 0


def test_cpu_is_told_of_processes_that_live() -> None:
    before = cpu_seconds([os.getpid()])
    sum(range(100_000))
    assert cpu_seconds([os.getpid()]) > before
    assert cpu_seconds([2**22 + 1]) == 0


def test_every_peer_can_do_what_is_said_of_it() -> None:
    assert {measure for peer in PEERS for measure in peer.measures} == set(SHARED)
    for peer in PEERS:
        source = (ROOT / f"{peer.module.replace('.', '/')}.py").read_text("utf-8")
        assert ("def add_many(" in source) is peer.bulk, peer.name


def test_every_measurement_has_a_probe() -> None:
    assert {probe.name for probe in ours(PROBES)} == set(PROBES)


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
