"""qmsimulator --chaos: what its words mean for the run, and what its end means for whoever started it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest

from qm.cli import chaos, qmsimulator
from qm.simulator.chaos import ChaosPlan, Findings, Progress, Result
from qm.simulator.chaos.schedule import schedule


class Recorder:
    """Stands for the run: notes its plan, and ends as `findings` says."""

    plans: ClassVar[list[ChaosPlan]] = []
    findings: ClassVar[Findings]

    def __init__(self, plan: ChaosPlan, show: Callable[[Progress], None]) -> None:
        Recorder.plans.append(plan)
        self._show = show

    def run(self) -> Result:
        self._show(Progress("faults", 1.0, 2, 1, 1, 2, 3))
        return Result(Recorder.plans[-1], Recorder.findings, 1.0, None)


@pytest.fixture(autouse=True)
def recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chaos, "Chaos", Recorder)
    monkeypatch.setattr(Recorder, "plans", [])
    monkeypatch.setattr(Recorder, "findings", Findings(attempted=1, acked=1, done=1), raising=False)


def plan_of(words: str) -> ChaosPlan:
    assert qmsimulator.main(["--chaos", *words.split()]) == 0
    return Recorder.plans[-1]


def test_without_more_words_it_is_a_minute_with_ten_kills_of_the_manager() -> None:
    plan = plan_of("")
    assert plan == ChaosPlan(seed=plan.seed, duration=60, kills=10)
    assert plan_of("").seed != plan.seed


def test_every_option_reaches_the_run() -> None:
    words = "--seed 3 --duration 2m --kills 9 --producers 4 --pools 3 --processes 5"
    store = "--store sqlite:x.db --durability relaxed"
    assert plan_of(f"{words} {store}") == ChaosPlan(
        seed=3,
        duration=120,
        kills=9,
        producers=4,
        pools=3,
        processes=5,
        store="sqlite:x.db",
        durability="relaxed",
    )


def test_several_managers_and_crashes_of_their_database_reach_the_run() -> None:
    words = "--seed 3 --managers 3 --store postgresql://me:secret@here/db --database-crash ./crash"
    plan = plan_of(words)
    assert (plan.managers, plan.database_crash, plan.has_database) == (3, "./crash", True)


@pytest.mark.parametrize(("words", "kills"), [("--duration 2m", 20), ("--duration 5", 1), ("--kills 0", 0)])
def test_the_manager_is_killed_every_six_seconds_unless_told_otherwise(words: str, kills: int) -> None:
    assert plan_of(words).kills == kills


def test_the_command_that_it_prints_is_the_same_run(capsys: pytest.CaptureFixture[str]) -> None:
    plan = plan_of("--duration 7 --kills 2 --durability relaxed --pools 1")
    command = capsys.readouterr().out.partition("repeat it with: qmsimulator --chaos ")[2].partition("\n")[0]
    assert plan_of(command) == plan


def test_of_a_database_it_prints_neither_address_nor_command(capsys: pytest.CaptureFixture[str]) -> None:
    words = "--managers 3 --kills 20 --store postgresql://me:secret@here/db --database-crash ./secret"
    plan = plan_of(words)
    said = capsys.readouterr().out
    assert "secret" not in said
    assert "--managers 3 --store postgresql://... --database-crash ..." in said
    again = plan_of(said.partition("repeat it with: qmsimulator --chaos ")[2].partition("\n")[0])
    assert schedule(again, 30.0) == schedule(plan, 30.0)


@pytest.mark.parametrize(
    "words",
    [
        *("--count 3", "--delay 1", "--audit", "--encoder-cost 5", "--no-workers"),
        *("--rpc localhost", "--authkey-file x"),
        *("--duration 0", "--duration soon", "--kills 100 --duration 9", "--kills many"),
        *("--pools 0", "--processes 0", "--store memory:", "--durability none"),
        *("--managers 0", "--managers 2", "--managers 2 --store sqlite:x.db", "--database-crash x"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_starts(
    words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert qmsimulator.main(["--chaos", *words.split()]) == 2
    assert capsys.readouterr().err.startswith("qmsimulator: ")
    assert Recorder.plans == []


@pytest.mark.parametrize(
    "option",
    [
        *("--duration", "--kills", "--managers", "--pools", "--store", "--durability", "--database-crash"),
        "--report",
    ],
)
def test_options_for_chaos_need_it(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert qmsimulator.main([option, "1"]) == 2
    assert f"{option} is for --chaos" in capsys.readouterr().err


def test_a_broken_promise_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    findings = Findings(attempted=1, acked=1, lost=1, complaints=["lost: task t: it is not there"])
    monkeypatch.setattr(Recorder, "findings", findings)
    assert qmsimulator.main(["--chaos"]) == 1
    assert (
        capsys.readouterr().out.splitlines()[-1].endswith("lost 1, finished twice 0, unexpected 0, " + _REST)
    )


_REST = "recovered 0, parked 0, still queued 0: FAILED"


def test_the_figures_are_written_where_they_are_wanted(tmp_path: Path) -> None:
    path = tmp_path / "CHAOS.md"
    assert qmsimulator.main(["--chaos", "--report", str(path)]) == 0
    assert "**Passed.**" in path.read_text()


def test_a_report_that_cannot_be_written_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert qmsimulator.main(["--chaos", "--report", str(tmp_path / "no" / "x.md")]) == 2
    assert "cannot write the report" in capsys.readouterr().err
