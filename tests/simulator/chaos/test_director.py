"""Whom a fault meets, and what becomes of who dies: with programs that only wait."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from qm.simulator.chaos import ChaosPlan
from qm.simulator.chaos.database import Database
from qm.simulator.chaos.director import Director
from qm.simulator.chaos.journal import Crashed, Death, Fault, Journal, read_journals
from qm.simulator.chaos.managers import Managers
from qm.simulator.chaos.programs import Program
from qm.simulator.chaos.schedule import Deed, Step

PLAN = ChaosPlan(managers=2, store="postgresql://127.0.0.1:1/nowhere", kills=0)
WAITS = ("/bin/sh", "-c", "exec sleep 600")
NO_DATABASE = ("/bin/sh", "-c", "exit 70")


class Stage:
    """Two managers and a director over a database that is away."""

    def __init__(
        self, folder: Path, command: tuple[str, ...], crash: str | None = None, pools: Sequence[Program] = ()
    ) -> None:
        self.folder = folder
        self.journals = folder / "journals"
        self.journals.mkdir()
        self.managers = Managers(folder, command, PLAN, self.journals)
        self.database = Database("postgresql://127.0.0.1:1/nowhere", crash, folder / "database.log")
        self.director = Director(self.managers, pools, self.database, Journal(self.journals, "director"))
        self.managers.start()

    @property
    def pids(self) -> list[int]:
        return [seat.manager.pid for seat in self.managers.seats]

    def do(self, deed: Deed, draw: float = 0.0, seconds: float = 1.0, now: float = 0.0) -> None:
        self.director.do(Step(now, deed, seconds, draw), now)

    def wait(self) -> None:
        """Until all managers have ended."""
        for seat in self.managers.seats:
            assert seat.manager._process is not None
            seat.manager._process.wait()

    def said(self, kind: type) -> list[object]:
        return [entry.event for entry in read_journals(self.journals) if isinstance(entry.event, kind)]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path, WAITS)
    yield stage
    stage.director.calm(0)
    stage.managers.end(10)


def stopped(pid: int) -> bool:
    """Whether a process is, as it will be in a moment after the signal."""
    while (state := Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]) == "R":
        os.sched_yield()
    return state == "T"


@pytest.mark.parametrize(("draw", "hit"), [(0.0, 0), (0.49, 0), (0.5, 1), (0.99, 1)])
def test_a_kill_hits_the_manager_that_is_drawn_and_it_is_started_again(
    stage: Stage, draw: float, hit: int
) -> None:
    before = stage.pids
    stage.do(Deed.KILL_MANAGER, draw)
    assert [old != new for old, new in zip(before, stage.pids, strict=True)] == [hit == 0, hit == 1]
    assert stage.director.done[Deed.KILL_MANAGER] == 1


def test_a_manager_that_is_stopped_over_its_term_is_let_alone_until_it_wakes(stage: Stage) -> None:
    sleeper = stage.pids[0]
    stage.do(Deed.STOP_MANAGER_LONG, 0.0, 11.0, now=0.0)
    assert stopped(sleeper)
    for draw in (0.0, 0.99):
        stage.do(Deed.KILL_MANAGER, draw, now=5.0)
        stage.do(Deed.STOP_MANAGER, draw, 0.1, now=5.0)
        stage.director.tend(6.0)
    assert stage.pids[0] == sleeper
    assert stopped(sleeper)
    stage.director.tend(11.0)
    assert not stopped(sleeper)
    stage.do(Deed.KILL_MANAGER, 0.0, now=11.0)
    assert stage.pids[0] != sleeper


def test_a_stop_over_the_term_is_not_cut_short_by_an_earlier_one(stage: Stage) -> None:
    first, second = stage.pids
    stage.do(Deed.STOP_MANAGER, 0.0, 2.0, now=0.0)
    stage.do(Deed.STOP_MANAGER_LONG, 0.0, 11.0, now=1.0)
    stage.director.tend(2.0)
    assert not stopped(first)
    assert stopped(second)
    stage.do(Deed.STOP_MANAGER_LONG, 0.0, 11.0, now=2.0)
    assert stopped(first)
    stage.do(Deed.KILL_MANAGER, now=3.0)
    assert stage.director.done == {Deed.STOP_MANAGER: 1, Deed.STOP_MANAGER_LONG: 2}


def test_a_manager_that_finds_no_database_is_started_again_without_blame(tmp_path: Path) -> None:
    stage = Stage(tmp_path, NO_DATABASE)
    for _ in range(10):
        stage.wait()
        stage.director.tend(0.0)
    assert stage.said(Death) == []
    stage.managers.end(10)


def test_one_that_served_and_ended_is_blamed(tmp_path: Path) -> None:
    stage = Stage(tmp_path, NO_DATABASE)
    stage.wait()
    (tmp_path / "manager-1" / "ready").write_text("rpc 127.0.0.1:9")
    for seat in stage.managers.seats:
        seat.look()
    stage.director.tend(0.0)
    assert stage.said(Death) == [Death("manager 1", 70)]
    stage.managers.end(10)


@pytest.mark.parametrize(("children", "blamed"), [(2, 1), (3, 0)])
def test_a_pool_that_gives_up_is_blamed_unless_we_killed_all_its_children(
    tmp_path: Path, children: int, blamed: int
) -> None:
    script = f'for n in $(seq {children}); do (exec -a "qmworker: child" sleep 600) & done; wait; exit 2'
    pool = Program("pool", ["bash", "-c", script], tmp_path / "pool.log", {})
    stage = Stage(tmp_path, WAITS, pools=[pool])
    pool.start()
    alone(pool, children)
    for left in reversed(range(children)):
        stage.do(Deed.KILL_CHILD)
        alone(pool, left)
    assert pool._process is not None
    pool._process.wait()
    stage.director.tend(0.0)
    assert stage.said(Death) == [Death("pool", 2)] * blamed
    pool.kill()
    stage.managers.end(10)


def alone(pool: Program, children: int) -> None:
    """Waits until it has so many."""
    while len(pool.children()) != children:
        os.sched_yield()


def test_what_cannot_be_done_is_not_counted(stage: Stage) -> None:
    stage.do(Deed.END_CONNECTIONS)
    stage.do(Deed.CRASH_DATABASE)
    assert stage.director.done == {}
    assert stage.said(Fault) == []


def test_a_crash_of_the_database_is_written_down_when_it_is_over(tmp_path: Path) -> None:
    stage = Stage(tmp_path, WAITS, "read -r _ <gate && exit 0".replace("gate", str(tmp_path / "gate")))
    os.mkfifo(tmp_path / "gate")
    stage.do(Deed.CRASH_DATABASE)
    stage.do(Deed.CRASH_DATABASE)  # while the first is under way
    stage.director.tend(0.0)
    assert (stage.director.done[Deed.CRASH_DATABASE], stage.said(Crashed)) == (1, [])
    (tmp_path / "gate").write_text("\n")
    stage.database.end()
    stage.director.tend(0.0)
    stage.director.tend(0.0)
    (crashed,) = stage.said(Crashed)
    assert isinstance(crashed, Crashed) and crashed.began < crashed.ended
    stage.managers.end(10)
