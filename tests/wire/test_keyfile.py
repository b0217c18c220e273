"""The file of keys: many with names and roles, changed whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qm.errors import BadRequest, NotFound
from qm.limits import KEY_MIN
from qm.wire.keyfile import add_key, line_of, remove_key
from qm.wire.keys import make_key, parse_keys, read_key, read_keys
from qm.wire.roles import DEFAULT, Key, Role

A, B, C = (letter * 64 for letter in (b"a", b"b", b"c"))

FILE = b"# who may come in\n\nboss operator " + A + b"\n  web1\tclient   " + B + b"\r\npool worker " + C

#: Adds a key as soon as it is told to.
ADD = """
import pathlib, sys
from qm.wire.keyfile import add_key
from qm.wire.roles import Role
print("ready", flush=True)
sys.stdin.read(1)
add_key(pathlib.Path(sys.argv[1]), sys.argv[2], Role.CLIENT)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "authkey"


def write(path: Path, data: bytes) -> Path:
    path.touch(0o600)
    path.write_bytes(data)
    return path


def test_a_line_is_a_key_with_its_name_and_role(path: Path) -> None:
    assert read_keys(write(path, FILE)) == (
        Key("boss", Role.OPERATOR, A),
        Key("web1", Role.CLIENT, B),
        Key("pool", Role.WORKER, C),
    )


@pytest.mark.parametrize("data", [A, A + b"\n", b"# made by qmanager\n" + A + b"\n\n"])
def test_a_key_alone_is_an_operators(path: Path, data: bytes) -> None:
    assert read_keys(write(path, data)) == (Key(DEFAULT, Role.OPERATOR, A),)


def test_a_client_reads_the_line_that_it_was_given(path: Path) -> None:
    assert read_key(write(path, b"web1 client " + B)) == B


def test_on_the_managers_host_a_client_takes_the_operators_key(path: Path) -> None:
    assert read_key(write(path, b"web1 client " + B + b"\nboss operator " + A)) == A


def test_a_client_does_not_guess_which_key_is_its_own(path: Path) -> None:
    with pytest.raises(BadRequest, match="has 2 keys, none of them an operator's") as caught:
        read_key(write(path, b"web1 client " + B + b"\npool worker " + C))
    assert caught.value.hint == "write the line of one into a file of its own"


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b"web1 clinet " + B, "line 2: no such role"),
        (b"web1 Client " + B, "line 2: no such role"),
        (b"web1 \xff\xfe " + B, "line 2: no such role"),
        (b"web1 " + B, "line 2: 2 words, not 3"),
        (B, "line 2: 1 words, not 3"),
        (b"web1 client " + B + b" more", "line 2: 4 words, not 3"),
        (b"we/b client " + B, "line 2: not a name"),
        (b"x" * 65 + b" client " + B, "line 2: not a name"),
        (b"web1 client short", f"line 2: an authkey has at least {KEY_MIN} bytes"),
        (b"boss client " + B, "line 2: 'boss' is there already"),
        (b"web1 client " + A, "line 2: the same key as another's"),
    ],
)
def test_a_wrong_line_is_named_and_its_key_is_not(path: Path, line: bytes, complaint: str) -> None:
    with pytest.raises(BadRequest) as caught:
        read_keys(write(path, b"boss operator " + A + b"\n" + line))
    assert complaint in str(caught.value)
    said = f"{caught.value} {caught.value.hint}"
    assert not [key for key in (A, B) if key.decode() in said]


def test_a_mistyped_role_does_not_turn_a_line_into_a_key_alone(path: Path) -> None:
    """It would be an operator's, known to whoever reads the same file."""
    with pytest.raises(BadRequest, match="no such role"):
        read_keys(write(path, b"web1 clinet " + B + b"\n"))


@given(data=st.binary(max_size=300) | st.text(alphabet="ab# \n\t", max_size=80).map(str.encode))
def test_whatever_is_in_the_file_it_is_read_or_refused(data: bytes) -> None:
    try:
        keys = parse_keys(data, Path("authkey"))
    except BadRequest:
        return
    assert keys and all(len(key.secret) >= KEY_MIN for key in keys)


@pytest.mark.parametrize("data", [b"", b"\n\n", b"# nothing but words\n"])
def test_a_file_without_a_key_is_refused(path: Path, data: bytes) -> None:
    with pytest.raises(BadRequest, match="at least"):
        read_keys(write(path, data))


def test_a_huge_file_is_refused(path: Path) -> None:
    with pytest.raises(BadRequest, match="larger than"):
        read_keys(write(path, b"x" * 100_000))


def test_a_key_is_not_printed() -> None:
    key = Key("web1", Role.CLIENT, B)
    assert B.decode() not in f"{key} {key!r} {[key]}"


def test_an_added_key_comes_last_and_all_else_stays(path: Path) -> None:
    write(path, FILE)
    added = add_key(path, "web2", Role.CLIENT)
    assert path.read_bytes().splitlines() == [*FILE.splitlines(), line_of(added)]
    assert read_keys(path)[-1] == added
    assert len(added.secret) >= KEY_MIN


def test_a_key_alone_gets_its_name_when_another_comes(path: Path) -> None:
    """Clients that have the bare key still come in: the key is the same."""
    bare = make_key(path)
    add_key(path, "web1", Role.CLIENT)
    assert read_keys(path)[0] == Key(DEFAULT, Role.OPERATOR, bare)
    assert read_key(path) == bare


def test_a_first_key_comes_with_an_operators(path: Path) -> None:
    """Else nobody on the manager's own host could look after it."""
    add_key(path.parent / "home" / "authkey", "web1", Role.CLIENT)
    keys = read_keys(path.parent / "home" / "authkey")
    assert [(key.name, key.role) for key in keys] == [(DEFAULT, Role.OPERATOR), ("web1", Role.CLIENT)]


@pytest.mark.parametrize("name", ["", "a b", "a\nb", "ä", "#x", "x" * 65])
def test_a_bad_name_is_refused(path: Path, name: str) -> None:
    with pytest.raises(BadRequest, match="is no name"):
        add_key(write(path, FILE), name, Role.CLIENT)
    assert path.read_bytes() == FILE


def test_a_name_is_given_once(path: Path) -> None:
    with pytest.raises(BadRequest, match="there is a key 'web1' already"):
        add_key(write(path, FILE), "web1", Role.WORKER)
    assert path.read_bytes() == FILE


def test_a_removed_key_is_gone_and_all_else_stays(path: Path) -> None:
    remove_key(write(path, FILE), "web1")
    assert path.read_bytes().splitlines() == [line for line in FILE.splitlines() if b"web1" not in line]
    with pytest.raises(NotFound, match="there is no key 'web1'"):
        remove_key(path, "web1")


def test_the_last_key_stays(path: Path) -> None:
    bare = make_key(path)
    with pytest.raises(BadRequest, match="'default' is the last key"):
        remove_key(path, DEFAULT)
    assert read_key(path) == bare


def test_a_changed_file_is_for_its_owner_alone_whatever_the_umask(path: Path) -> None:
    before = os.umask(0)
    try:
        make_key(path)
        add_key(path, "web1", Role.CLIENT)
        remove_key(path, DEFAULT)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["authkey"], "nothing else is left"


def test_a_change_that_fails_leaves_the_file_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(path, FILE)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BadRequest, match=r"cannot write the authkey .*No space left"):
        add_key(path, "web2", Role.CLIENT)
    assert path.read_bytes() == FILE
    assert [file.name for file in path.parent.iterdir()] == ["authkey"]


def test_a_change_that_cannot_take_the_files_place_leaves_no_key_beside_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_key(path, "web1", Role.CLIENT)
    before = path.read_bytes()

    def refuse(draft: str, target: Path) -> None:
        raise OSError(errno.EBUSY, "it is mounted there")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(BadRequest, match="it is mounted there"):
        add_key(path, "web2", Role.CLIENT)
    assert path.read_bytes() == before
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_changes_at_once_are_all_made(path: Path) -> None:
    make_key(path)
    names = [f"web{number}" for number in range(4)]
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", ADD, path, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        for name in names
    ]
    for racer in racers:
        assert racer.stdout and racer.stdout.readline() == b"ready\n"
    for racer in racers:
        assert racer.stdin
        racer.stdin.write(b"g")
        racer.stdin.flush()
    for racer in racers:
        racer.communicate()
    assert sorted(key.name for key in read_keys(path)) == sorted([DEFAULT, *names])
