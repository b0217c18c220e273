"""qmanager key: who may come in, without an editor."""

from __future__ import annotations

from pathlib import Path

import pytest

from qm.cli import qmanager
from qm.wire.keys import make_key, read_key, read_keys
from qm.wire.roles import Role
from tests.cli.stage import Said


@pytest.fixture
def path(home: Path) -> Path:
    make_key(home / "authkey")
    return home / "authkey"


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]):
    def run(*words: str) -> Said:
        capsys.readouterr()
        code = qmanager.main(["key", *words])
        return Said(code, *capsys.readouterr())

    return run


def test_a_new_key_is_printed_once_as_its_holder_needs_it(path: Path, say, tmp_path: Path) -> None:
    said = say("add", "web1", "--role", "client")
    assert said.code == 0
    copied = tmp_path / "copied"
    copied.touch(0o600)
    copied.write_text(said.out)
    assert read_key(copied) == read_keys(path)[-1].secret
    assert said.out.startswith("web1 client ")
    assert f"hint: a running qmanager reads {path} again when it gets SIGHUP\n" in said.err
    assert said.out.split()[2] not in say("list").out


def test_the_list_has_names_and_roles(path: Path, say) -> None:
    say("add", "web1", "--role", "client")
    say("add", "pool", "--role=worker")
    assert say("list").lines == ["default operator", "web1 client", "pool worker"]


def test_a_removed_key_is_gone(path: Path, say) -> None:
    say("add", "web1", "--role", "client")
    assert say("remove", "default").code == 0
    assert [(key.name, key.role) for key in read_keys(path)] == [("web1", Role.CLIENT)]


def test_another_file_can_be_named(path: Path, say, tmp_path: Path) -> None:
    other = tmp_path / "keys"
    assert say("add", "web1", "--role", "client", "--authkey-file", str(other)).code == 0
    assert [key.name for key in read_keys(other)] == ["default", "web1"]
    assert len(read_keys(path)) == 1


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (["add", "web1"], 2, "Usage:"),
        (["add", "web1", "--role", "boss"], 2, "--role is one of client, worker, operator, not 'boss'"),
        (["add", "default", "--role", "client"], 2, "there is a key 'default' already"),
        (["add", "a b", "--role", "client"], 2, "'a b' is no name"),
        (["remove", "nobody"], 3, "there is no key 'nobody'"),
        (["remove", "default"], 2, "'default' is the last key: nobody could come in"),
        (["lost"], 2, "Usage:"),
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(
    path: Path, say, words: list[str], code: int, complaint: str
) -> None:
    before = path.read_bytes()
    said = say(*words)
    assert said.code == code and complaint in said.err
    assert path.read_bytes() == before
