"""Disks that fail, fill up or lie, under a real manager."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from qm.errors import DiskFull, Draining, NotCommitted, TimedOut, Unreachable
from qm.messages import Slot, TypeOptions, WorkerInfo
from qm.store.sqlite.reserve import SIZE
from qm.task import State
from tests.live.trouble import Program, add_until_refused, small_disk
from tests.wants import want_program

pytestmark = pytest.mark.xdist_group("live-disk")

#: What a client may hear of a manager whose disk has failed: all of it says that a resend is safe.
_GONE = (NotCommitted, Draining, Unreachable, TimedOut)


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    program = Program(tmp_path / "home", tmp_path)
    yield program
    program.kill()


def failing_sync(number: int) -> list[str]:
    """Runs a program in which each thread's sync of this number fails; all others go well."""
    calls = ["-e", "trace=fdatasync,fsync", "-e", f"inject=fdatasync,fsync:error=EIO:when={number}"]
    return [want_program("strace"), "-f", "-qq", "-o", "/dev/null", "--seccomp-bpf", *calls]


def failing_writes(error: str, number: int) -> list[str]:
    """Runs a program in which each thread's writes into files fail from this number on."""
    calls = ["-e", "trace=pwrite64", "-e", f"inject=pwrite64:error={error}:when={number}+"]
    return [want_program("strace"), "-f", "-qq", "-o", "/dev/null", "--seccomp-bpf", *calls]


@pytest.mark.parametrize("number", [1, 20])
@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
def test_after_a_failed_write_nothing_acknowledged_is_lost(program: Program, error: str, number: int) -> None:
    """Fault 9: a disk that fails ends the manager; one that is full does not."""
    program.start()
    assert program.serves()
    with program.client() as client:
        acked = [client.add("mail", 0, id="before")]
    assert program.stop() == 0
    program.start(failing_writes(error, number))
    if program.serves():
        with program.client() as client:
            more, refusal = add_until_refused(client, "t")
            acked += more
            if error == "EIO":
                assert isinstance(refusal, _GONE), refusal
            else:
                assert isinstance(refusal, (DiskFull, NotCommitted)), refusal
                assert client.get("before").state is State.WAITING, "what is there can be read"
                program.stop_traced()
    assert program.end() in ((70,) if error == "EIO" else (0, 70)), program.said()
    assert "Traceback" not in program.said()
    program.start()
    assert program.serves(), program.said()
    with program.client() as client:
        assert [task.id for task in client.get_many(acked)] == acked
    assert program.stop() == 0


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 7, 11, 18, 30, 50])
def test_after_a_failed_sync_nothing_is_acknowledged_and_nothing_lost(program: Program, number: int) -> None:
    program.start()
    assert program.serves()
    with program.client() as client:
        acked = [client.add("mail", 0, id="before")]
    assert program.stop() == 0
    program.start(failing_sync(number))
    if program.serves():
        with program.client() as client:
            more, error = add_until_refused(client, "t")
            acked += more
            assert isinstance(error, _GONE), error
            for n in range(20):  # the kernel would say yes to all of these
                with pytest.raises(_GONE):
                    client.add("mail", 0, id=f"late{n}")
    assert program.end() == 70, program.said()
    said = program.said().partition("qmanager: ")[2]  # its last words, behind the log
    assert said.startswith(("the disk of", "cannot open the store"))
    assert "Traceback" not in said
    program.start()
    assert program.serves(), program.said()
    with program.client() as client:
        assert [task.id for task in client.get_many(acked)] == acked
        assert client.get_many([f"late{n}" for n in range(20)]) == []
    assert program.stop() == 0
    assert program.command("check").returncode == 0


def test_a_full_disk_refuses_tasks_takes_results_and_recovers_by_itself(tmp_path: Path) -> None:
    cycles = 20
    with small_disk(tmp_path / "disk", "96m") as disk:
        program = Program(disk / "home", tmp_path)
        program.start()
        try:
            assert program.serves()
            acked, done = _fill_and_empty(program, disk / "filler", cycles)
            with program.client() as client:
                assert [task.id for task in client.get_many(acked)] == acked
                assert all(client.result(id_) == "done" for id_ in done)
            said = program.said()
            assert said.count("tasks are refused, results are still taken") == cycles
            assert said.count("there is space again") == cycles
            assert program.stop() == 0
            assert program.command("check").returncode == 0
        finally:
            program.kill()


def _fill_and_empty(program: Program, filler: Path, cycles: int) -> tuple[list[str], list[str]]:
    """Fills the disk by a file of another program and then by tasks, works some off, makes space. Gives the
    ids that were acknowledged, and those of the tasks that are done."""
    slot = Slot("s", 0, 0)
    acked: list[str] = []
    done: list[str] = []
    with program.client() as client:
        client.attach(WorkerInfo(session="s", host="h", pid=1, processes=1, types={"mail": TypeOptions()}))
        for cycle in range(cycles):
            acked += [client.add("mail", "x", id=f"first{cycle}-{n}") for n in range(10)]
            _fill(filler)
            more, error = add_until_refused(client, f"c{cycle}-", 20_000)
            acked += more
            for n in range(5):
                with pytest.raises(DiskFull) as refused:
                    client.add("mail", "x", id=f"refused{cycle}-{n}")
                assert refused.value.hint, error
            for _ in range(10):
                taken = client.take(slot, ["mail"])
                assert taken is not None
                client.finish(taken.lease, "done")
                done.append(taken.lease.id)
            assert client.get_many([f"refused{cycle}-{n}" for n in range(5)]) == []
            filler.unlink()
            acked += [client.add("mail", "x", id=f"again{cycle}-{n}") for n in range(20)]
            client.renew("s")
    return acked, done


def _fill(filler: Path) -> None:
    """All that the disk has, but for a little."""
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(1 << 20)) == 1 << 20:
                pass
        except OSError:
            pass
        file.truncate(max(0, file.tell() - (1 << 18)))


def test_a_disk_that_grows_is_noticed(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", f"{(SIZE >> 20) + 8}m") as disk:
        program = Program(disk / "home", tmp_path)
        program.start()
        try:
            assert program.serves()
            with program.client() as client:
                acked, _ = add_until_refused(client, "t", 100_000)
                subprocess.run(["mount", "-o", "remount,size=96m", str(disk)], check=True)
                acked.append(client.add("mail", "x", id="again"))
                assert [task.id for task in client.get_many(acked)] == acked
            assert program.stop() == 0
        finally:
            program.kill()


def test_backups_beside_a_manager_under_load_have_all_that_was_acknowledged(
    program: Program, tmp_path: Path
) -> None:
    program.start()
    assert program.serves()
    acked: list[str] = []
    kept: list[int] = []
    backups = [tmp_path / f"b{n}.db" for n in range(5)]
    with program.client() as client:
        for copy in backups:
            acked += [client.add("mail", "x" * 500, id=f"t{len(acked) + n}") for n in range(100)]
            kept.append(len(acked))
            copying = subprocess.Popen(
                [*program.words(), "backup", str(copy)], env=program.environment(), stdout=subprocess.DEVNULL
            )
            while copying.poll() is None:
                acked.append(client.add("mail", "x", id=f"t{len(acked)}"))
            assert copying.returncode == 0
    assert program.stop() == 0
    store = program.home / "queue.db"
    for copy, count in zip(backups, kept, strict=True):
        for name in ("queue.db", "queue.db-wal", "queue.db-shm", "queue.db.lock"):  # as docs/disk.md says
            (program.home / name).unlink(missing_ok=True)
        shutil.copy(copy, store)
        assert program.command("check").returncode == 0
        program.start()
        assert program.serves(), program.said()
        with program.client() as client:
            assert [task.id for task in client.get_many(acked[:count])] == acked[:count]
        assert program.stop() == 0


def test_damage_met_at_work_ends_the_manager_with_its_code(program: Program) -> None:
    """The file is spoilt under a running manager, beyond what it has in memory."""
    program.start()
    assert program.serves()
    with program.client() as client:
        ids = [client.add("mail", random.Random(n).randbytes(20_000).hex(), id=f"t{n}") for n in range(300)]
    assert program.stop() == 0
    program.start()
    assert program.serves()
    store = program.home / "queue.db"
    with program.client() as client, store.open("r+b") as file:
        file.seek(4096)
        file.write(bytes(store.stat().st_size - 4096))
        file.flush()
        with pytest.raises(_GONE):  # by the timer's look, if not by ours
            for id_ in ids:
                assert client.get(id_).input == random.Random(int(id_[1:])).randbytes(20_000).hex()
    assert program.end() == 65, program.said()
    assert "qmanager check says what is wrong" in program.said()
    assert program.command("check").returncode == 65
    program.start()
    assert not program.serves()
    assert program.end() == 65
    assert "Traceback" not in program.said()
