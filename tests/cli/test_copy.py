"""qmanager copy."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from qm.cli import qmanager
from qm.store import open_store
from qm.store.moving import Move
from qm.store.sqlite import SQLiteStore
from qm.testing.contract.samples import counts
from tests.postgres import want_postgres
from tests.store.moving.furniture import furnish

QUIET = ("--http", "off", "--rpc", "127.0.0.1:0")


@pytest.fixture
def house(tmp_path: Path) -> str:
    with closing(SQLiteStore.open(tmp_path / "house.db")) as store:
        furnish(store)
    return f"sqlite:{tmp_path}/house.db"


def test_a_store_moves_there_and_back(house: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    back = f"sqlite:{tmp_path}/back.db"
    with want_postgres().database() as url:
        assert qmanager.main(["copy", house, url]) == 0
        said = capsys.readouterr()
        assert said.out.splitlines()[0].split()[:2] == ["tasks", "43"]
        assert said.out.splitlines()[-1].endswith(f" has all that {house} has")
        assert "3 texts have NUL characters" in said.err
        assert "never again over the source" in said.err
        assert qmanager.main(["copy", url, back]) == 0
        assert "NUL" not in capsys.readouterr().err
    with closing(open_store(house)) as old, closing(open_store(back)) as new:
        assert counts(old) == counts(new)


def test_half_a_copy_is_told_of_and_can_be_finished(
    house: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = f"sqlite:{tmp_path}/target.db"
    with Move(house, target, now=0.0):
        assert qmanager.main(["copy", house, target]) == 1
        assert "another qmanager" in capsys.readouterr().err
    assert qmanager.main([*QUIET, "--store", target]) == 65
    said = capsys.readouterr().err
    assert f"the store {target} is the unfinished copy of {house}, begun 1970-01-01 00:00 UTC" in said
    assert f"hint: finish it: qmanager copy {house} {target}; with --anew it begins from the start" in said
    assert qmanager.main(["copy", house, target]) == 0
    assert qmanager.main(["copy", house, target]) == 2
    assert qmanager.main(["copy", house, target, "--anew"]) == 2
    assert "is not empty" in capsys.readouterr().err


def test_who_stops_it_hears_how_to_go_on(
    house: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Move, "run", stop)
        assert qmanager.main(["copy", house, f"sqlite:{tmp_path}/target.db"]) == 130
    assert "hint: say it again, and it goes on from here" in capsys.readouterr().err
    assert qmanager.main(["copy", house, f"sqlite:{tmp_path}/target.db"]) == 0


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("memory:", "sqlite:x.db"), 2),
        (("sqlite:no-such.db", "sqlite:x.db"), 70),
        (("postgresql://u:secret@127.0.0.1:1/d", "sqlite:x.db"), 70),
        (("sqlite:x.db",), 2),
    ],
)
def test_what_cannot_be_copied_is_refused(
    words: tuple[str, ...],
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert qmanager.main(["copy", *words]) == code
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert "secret" not in said
    assert [*tmp_path.iterdir()] == []
