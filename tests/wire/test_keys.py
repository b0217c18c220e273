"""The authkey's file: for its owner alone, made once, and never half."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from qm.errors import BadRequest
from qm.limits import KEY_MIN
from qm.wire.keys import make_key, read_key

KEY = b"k" * 64

#: Makes a key as soon as it is told to.
MAKE = """
import pathlib, sys
from qm.wire.keys import make_key
print("ready", flush=True)
sys.stdin.read(1)
print(make_key(pathlib.Path(sys.argv[1])).decode())
"""


@pytest.fixture
def umask_0() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def write(path: Path, key: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(key)
    path.chmod(mode)
    return path


def test_a_key_that_was_made_can_be_read(tmp_path: Path) -> None:
    key = make_key(tmp_path / "authkey")
    assert read_key(tmp_path / "authkey") == key
    assert len(key) >= KEY_MIN
    assert make_key(tmp_path / "other") != key


def test_a_key_is_made_once(tmp_path: Path) -> None:
    assert make_key(tmp_path / "authkey") == make_key(tmp_path / "authkey")


def test_a_key_is_for_its_owner_alone_whatever_the_umask(tmp_path: Path, umask_0: None) -> None:
    make_key(tmp_path / "home" / "authkey")
    assert stat.S_IMODE((tmp_path / "home" / "authkey").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "home").stat().st_mode) == 0o700
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["authkey"], "nothing else is left"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o644, 0o666, 0o777])
def test_a_key_that_others_can_use_is_refused(tmp_path: Path, mode: int) -> None:
    path = write(tmp_path / "authkey", KEY, mode)
    for use in (read_key, make_key):
        with pytest.raises(BadRequest, match="is open to other users") as caught:
            use(path)
        assert caught.value.hint == f"chmod 600 {path}"


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_key_that_only_its_owner_can_use_is_taken(tmp_path: Path, mode: int) -> None:
    assert read_key(write(tmp_path / "authkey", KEY + b"\n", mode)) == KEY


def test_a_key_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "authkey", KEY)
    if os.geteuid() == 0:
        os.chown(path, 12345, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    with pytest.raises(BadRequest, match="belongs to another user"):
        read_key(path)


@pytest.mark.parametrize("key", [b"", b"\n", b"short\n", b" " * 100, b"x" * (KEY_MIN - 1) + b"\n"])
def test_a_file_without_a_whole_key_is_refused(tmp_path: Path, key: bytes) -> None:
    with pytest.raises(BadRequest, match=f"at least {KEY_MIN} bytes"):
        read_key(write(tmp_path / "authkey", key))


def test_a_missing_key_says_where_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match=r"cannot read the authkey .*No such file") as caught:
        read_key(tmp_path / "authkey")
    assert caught.value.hint and "qmanager makes it" in caught.value.hint


def test_a_folder_is_no_key(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="Is a directory"):
        read_key(tmp_path)


def test_a_key_in_a_folder_that_cannot_be_written_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a secret is that a container gets mounted."""
    path = write(tmp_path / "authkey", KEY, 0o400)

    def read_only(*args: object, **kwds: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("tempfile.mkstemp", read_only)
    assert make_key(path) == KEY
    with pytest.raises(BadRequest, match=r"cannot make the authkey .*Read-only file system"):
        make_key(tmp_path / "another")


def test_a_home_that_is_a_file_is_a_clear_error(tmp_path: Path) -> None:
    write(tmp_path / "home", b"")
    with pytest.raises(BadRequest, match="authkey"):
        make_key(tmp_path / "home" / "authkey")


def test_what_a_killed_process_left_is_no_obstacle(tmp_path: Path) -> None:
    """In a container every process has the same number: a draft named by it would stop the next one."""
    for name in (f"authkey.{os.getpid()}", "authkey.1", "authkey.tmp"):
        write(tmp_path / name, b"half a ke")
    key = make_key(tmp_path / "authkey")
    assert read_key(tmp_path / "authkey") == key


def test_processes_that_make_a_key_at_once_agree_on_one(tmp_path: Path) -> None:
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", MAKE, tmp_path / "home" / "authkey"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        for _ in range(3)
    ]
    for racer in racers:
        assert racer.stdout and racer.stdout.readline() == b"ready\n"
    for racer in racers:
        assert racer.stdin
        racer.stdin.write(b"g")
        racer.stdin.flush()
    said = {racer.communicate()[0] for racer in racers}
    assert len(said) == 1
    assert said == {read_key(tmp_path / "home" / "authkey") + b"\n"}
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["authkey"]


def test_a_key_is_whole_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader never sees half a key, and a key that is there is never replaced."""
    linked: list[bytes] = []

    def link(draft: str, path: Path) -> None:
        linked.append(Path(draft).read_bytes())
        write(path, KEY)  # another process was faster
        raise FileExistsError

    monkeypatch.setattr(os, "link", link)
    assert make_key(tmp_path / "authkey") == KEY
    assert len(linked[0].strip()) >= KEY_MIN
    assert [path.name for path in tmp_path.iterdir()] == ["authkey"]
