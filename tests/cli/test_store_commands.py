"""qmanager check and qmanager backup, and how qmanager ends when its store fails."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from qm.cli import qmanager
from qm.cli.broken import Broken
from qm.cli.serving import Service
from qm.cli.signals import Signals
from qm.errors import StoreDamaged, StoreError
from qm.store.sqlite import SQLiteStore
from qm.testing.contract.samples import new


@pytest.fixture
def path(home: Path) -> Path:
    """A store with a task, where qmanager looks by itself."""
    store = SQLiteStore.open(home / "queue.db")
    store.add([new("a")], 1.0)
    store.close()
    return home / "queue.db"


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096:] = bytes(len(data) - 4096)
    path.write_bytes(data)


def test_a_good_store_is_called_good(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert qmanager.main(["check"]) == 0
    assert capsys.readouterr().out == f"{path}: good\n"


def test_findings_are_printed_and_the_code_is_65(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = SQLiteStore.open(path)
    store._connection.execute("UPDATE counts SET tasks = 7")
    store.close()
    assert qmanager.main(["check", "--store", f"sqlite:{path}"]) == 65
    said = capsys.readouterr()
    assert said.out == "the count of a type and state is not what there is: mail waiting (7 kept, 1 there)\n"
    assert "hint: stop the manager and restore" in said.err


def test_a_damaged_file_is_65_for_all_of_it(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(path)
    for words in (["check"], ["backup", str(tmp_path / "b.db")], ["--http", "off", "--rpc", "127.0.0.1:0"]):
        assert qmanager.main(words) == 65
        said = capsys.readouterr()
        assert "Traceback" not in said.err
    assert not (tmp_path / "b.db").exists()


def test_where_there_is_no_store_it_is_said(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert qmanager.main(["check"]) == 70
    assert f"there is no store {home}/queue.db" in capsys.readouterr().err
    assert not home.exists(), "a look makes nothing"
    assert qmanager.main(["check", "--store", "memory:"]) == 2
    assert qmanager.main(["backup", str(tmp_path / "b"), "--store", "postgresql://u:secret@h/d"]) == 2
    assert "secret" not in capsys.readouterr().err


def test_a_backup_is_named_with_its_size(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "b.db"
    assert qmanager.main(["backup", str(target)]) == 0
    assert capsys.readouterr().out == f"{target}: {target.stat().st_size:,} bytes\n"
    assert qmanager.main(["backup", str(target)]) == 2
    assert f"qmanager: {target} exists already\nhint: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("why", "code"),
    [(StoreError("it failed", "look"), 70), (StoreDamaged("it is damaged", "look"), 65)],
)
def test_a_store_that_fails_ends_the_manager_with_its_code(
    why: StoreError, code: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    watch = Service.watch

    def fail(service: Service, signals: Signals) -> None:
        assert isinstance(service._store, SQLiteStore)
        service._store.health._break(why)
        watch(service, signals)

    monkeypatch.setattr(Service, "watch", fail)
    assert qmanager.main(["--http", "off", "--rpc", "127.0.0.1:0"]) == code
    said = capfd.readouterr().err
    assert f"CRITICAL qmanager qm.store.sqlite.health {why}; nothing is acknowledged any more" in said
    assert said.endswith(f"qmanager: {why}\nhint: look\n")


def test_what_breaks_wakes_who_waits() -> None:
    broken = Broken()
    assert broken.why is None
    with pytest.raises(BlockingIOError):
        os.eventfd_read(broken.fileno())
    broken.tell(StoreError("x"))
    assert os.eventfd_read(broken.fileno()) == 1
    assert str(broken.why) == "x"
