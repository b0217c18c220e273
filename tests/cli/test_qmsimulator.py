"""qmsimulator: what its words mean for the run, and what the run's end means for whoever started it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from qm.cli import qmsimulator
from qm.simulator import Audit, Outcome, Plan, Pool
from qm.simulator.audit import End, Record
from qm.wire.address import Address
from qm.wire.keys import make_key

DONE = Record(id="a", type="reverse", end=End.DONE, seconds=0.001, takes=1)


FINGERPRINT = "sha256:" + "ab" * 32


class Recorder:
    """Stands for the run: notes what it was told, and ends as `outcome` says."""

    told: ClassVar[list[Any]] = []
    outcome: ClassVar[Outcome]

    def __init__(self, *told: Any) -> None:
        Recorder.told.extend(told)

    def run(self) -> Outcome:
        show: Callable[[int, int], None] = Recorder.told[4]
        show(1, 1)
        return Recorder.outcome


class PoolRecorder:
    """Stands for the workers."""

    told: ClassVar[list[Any]] = []

    def __init__(self, *told: Any) -> None:
        PoolRecorder.told.extend(told)


def outcome(*records: Record, sent: int | None = None, cut_short: bool = False) -> Outcome:
    audit = Audit()
    for record in records:
        audit.add(record)
    return Outcome(audit, audit.verdict(len(records) if sent is None else sent), 1.5, cut_short)


@pytest.fixture(autouse=True)
def recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qmsimulator, "Simulation", Recorder)
    monkeypatch.setattr(qmsimulator, "Pool", PoolRecorder)
    monkeypatch.setattr(Recorder, "told", [])
    monkeypatch.setattr(PoolRecorder, "told", [])
    monkeypatch.setattr(Recorder, "outcome", outcome(DONE), raising=False)


@pytest.fixture(autouse=True)
def key(home: Path) -> bytes:
    return make_key(home / "authkey")


def plan() -> Plan:
    found = Recorder.told[0]
    assert isinstance(found, Plan)
    return found


def test_without_a_word_two_producers_send_a_task_a_second_until_ctrl_c(key: bytes) -> None:
    assert qmsimulator.main([]) == 0
    assert plan() == Plan(producers=2, count=None, delay=1.0, seed=plan().seed, encoder_cost=None)
    assert Recorder.told[1:3] == [(Address("127.0.0.1", 8090),), key]
    assert PoolRecorder.told == [2, (Address("127.0.0.1", 8090),), None, "warning", "text", []]


def test_every_option_reaches_the_run(home: Path, key: bytes) -> None:
    words = "--producers 3 --count 7 --delay 0 --seed 11 --encoder-cost 6 --processes 4 --rpc [::1]:99"
    log = ["--log-level", "info", "--log-format", "json", "--authkey-file", str(home / "authkey")]
    log += ["--tls-fingerprint", FINGERPRINT]
    assert qmsimulator.main([*words.split(), *log]) == 0
    assert plan() == Plan(producers=3, count=7, delay=0.0, seed=11, encoder_cost=6)
    assert Recorder.told[1:3] == [(Address("::1", 99),), key]
    assert PoolRecorder.told == [
        4,
        (Address("::1", 99),),
        home / "authkey",
        "info",
        "json",
        ["--tls-fingerprint", FINGERPRINT],
    ]
    assert Recorder.told[5] == FINGERPRINT


def test_the_original_flags_still_work() -> None:
    assert qmsimulator.main(["-rpc", "localhost:99", "-delay=5"]) == 0
    assert (plan().delay, Recorder.told[1]) == (5.0, (Address("localhost", 99),))


def test_without_workers_there_is_no_pool() -> None:
    assert qmsimulator.main(["--no-workers"]) == 0
    assert Recorder.told[3] is None
    assert PoolRecorder.told == []


def test_the_seed_is_said_and_another_each_time(capsys: pytest.CaptureFixture[str]) -> None:
    seeds = set()
    for _ in range(3):
        qmsimulator.main([])
        seeds.add(Recorder.told[0].seed)
        assert f"--seed {Recorder.told[0].seed}\n" in capsys.readouterr().out
        Recorder.told.clear()
    assert len(seeds) > 1


@pytest.mark.parametrize(
    "words",
    [
        "--producers 0",
        "--producers many",
        "--count 0",
        "--count 1.5",
        "--delay soon",
        "--seed x",
        "--encoder-cost 3",
        "--encoder-cost 17",
        "--no-workers --processes 2",
        "--rpc here:there",
        "--log-level loud",
        "--log-format xml",
        "--authkey-file /nowhere/at/all",
        "stray",
    ],
)
def test_what_cannot_be_done_is_said_before_anything_starts(
    words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert qmsimulator.main(words.split()) == 2
    assert capsys.readouterr().err.startswith("qmsimulator: ")
    assert Recorder.told == []


def test_a_pool_of_no_processes_cannot_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(qmsimulator, "Pool", Pool)
    assert qmsimulator.main(["--processes", "0"]) == 2
    assert "a pool of 0 processes cannot work" in capsys.readouterr().err


def test_the_line_of_the_audit_is_the_last_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert qmsimulator.main(["--audit"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "audit: sent 1, done 1, lost 0, finished twice 0"
    assert any(line.split()[:4] == ["reverse", "1", "1", "0"] for line in lines)


def test_without_audit_there_is_no_such_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert qmsimulator.main([]) == 0
    assert "audit:" not in capsys.readouterr().out


@pytest.mark.parametrize("words", [[], ["--audit"]])
@pytest.mark.parametrize(
    "bad",
    [
        outcome(DONE, sent=2),
        outcome(DONE, Record(id="b", type="reverse", end=End.FAILED)),
        outcome(Record(id="b", type="reverse", end=End.DONE, wrong=True)),
        outcome(Record(id="b", type="reverse", end=End.DONE, twice=True)),
        outcome(Record(id="b", type="reverse", end=End.UNFINISHED), cut_short=True),
    ],
)
def test_an_audit_that_does_not_hold_is_a_failure_asked_for_or_not(
    bad: Outcome, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Recorder, "outcome", bad)
    assert qmsimulator.main(words) == 1


def test_a_run_that_was_cut_short_is_no_success_even_if_the_audit_holds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Recorder, "outcome", outcome(DONE, cut_short=True))
    assert qmsimulator.main(["--count", "5"]) == 130
