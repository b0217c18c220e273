"""The logs: what was written is read back, whoever was killed meanwhile."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from qm.messages import Verdict
from qm.simulator.chaos.journal import (
    Added,
    Adding,
    Event,
    Fault,
    Journal,
    Left,
    Read,
    Settled,
    Unanswered,
    read_journals,
)
from qm.task import State


def events(folder: Path) -> list[Event]:
    return [entry.event for entry in read_journals(folder)]


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    said: list[Event] = [
        Adding(["a", "b"]),
        Unanswered(["a", "b"], "unreachable"),
        Settled("finish", "a", 2, 2**63, Verdict.LOST, ends=True),
        Read("a", State.DONE, 1, 1.5, "digest"),
        Left(id="a", state=State.FAILED, attempt=3, reason="why", strikes=3),
    ]
    journal = Journal(tmp_path, "me")
    journal.write(*said[:2])
    journal.write()
    journal.write(*said[2:])
    journal.close()
    assert events(tmp_path) == said


def test_two_writers_of_one_name_do_not_share_a_file(tmp_path: Path) -> None:
    for number in range(2):
        journal = Journal(tmp_path, "worker")
        journal.write(Fault(str(number)))
        journal.close()
    assert len(list(tmp_path.iterdir())) == 2
    assert sorted(str(event) for event in events(tmp_path)) == ["Fault(what='0')", "Fault(what='1')"]


def test_threads_write_whole_lines(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "me")
    ids = ["x" * 5000]

    def write() -> None:
        for _ in range(100):
            journal.write(Added(ids))

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.close()
    assert events(tmp_path) == [Added(ids)] * 400


def test_a_line_without_an_end_is_left_out(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "me")
    journal.write(Fault("whole"))
    journal.close()
    (path,) = tmp_path.iterdir()
    with path.open("ab") as file:
        file.write(b'{"at":1.0,"event":{"did":"fau')
    assert events(tmp_path) == [Fault("whole")]


def test_a_line_that_is_no_event_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes(b"{}\n")
    with pytest.raises(ValueError, match="missing required field"):
        events(tmp_path)


def test_what_was_written_survives_a_kill(tmp_path: Path) -> None:
    code = (
        "import os, sys, pathlib\n"
        "from qm.simulator.chaos.journal import Fault, Journal\n"
        "Journal(pathlib.Path(sys.argv[1]), 'me').write(Fault('last words'))\n"
        "os.kill(os.getpid(), 9)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path)])
    assert killed.returncode == -9
    assert events(tmp_path) == [Fault("last words")]
