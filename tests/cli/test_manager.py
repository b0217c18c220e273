"""Which manager a program talks to."""

from __future__ import annotations

import socket
from functools import partial
from pathlib import Path

import pytest

from qm.cli import manager, qmclient
from qm.cli.arguments import Arguments
from qm.cli.manager import Manager, find_manager
from qm.client import Client
from qm.errors import BadRequest, Unreachable
from qm.testing import RunningManager
from qm.wire.address import Address
from qm.wire.keys import make_key
from tests.cli.stage import Call, make_homeless


def test_the_flags_go_before_the_environment(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_home, other, named = (make_key(path) for path in (home / "authkey", tmp_path / "b", tmp_path / "c"))
    assert find_manager(Arguments({})) == Manager((Address("127.0.0.1", 8090),), at_home, "")
    monkeypatch.setenv("QM_RPC", "somewhere:1")
    monkeypatch.setenv("QM_AUTHKEY_FILE", str(tmp_path / "b"))
    assert find_manager(Arguments({})) == Manager((Address("somewhere", 1),), other, "")
    flags = {"--rpc": "elsewhere", "--authkey-file": str(tmp_path / "c")}
    assert find_manager(Arguments(flags)) == Manager((Address("elsewhere", 8090),), named, "")
    flags["--rpc"] = "a:1,b"
    assert find_manager(Arguments(flags)) == Manager((Address("a", 1), Address("b", 8090)), named, "")


def test_a_key_that_we_are_not_let_near_is_said_to_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in another user's home; a name that is too long is one nobody is let near, root neither."""
    monkeypatch.setenv("QM_AUTHKEY_FILE", "x" * 300)
    with pytest.raises(BadRequest, match=r"cannot read the authkey x+: File name too long"):
        find_manager(Arguments({}))


def test_a_user_without_a_home_is_told_to_name_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    make_homeless(monkeypatch)
    with pytest.raises(BadRequest, match="no home folder") as caught:
        find_manager(Arguments({}))
    assert caught.value.hint == "name a folder by QM_HOME"


def test_with_neither_a_key_nor_a_manager_the_manager_is_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(manager, "_PATIENCE", 0.0)
    with pytest.raises(Unreachable, match=r"cannot reach the manager at 127\.0\.0\.1:1 "):
        find_manager(Arguments({"--rpc": "127.0.0.1:1"}))


def test_a_first_manager_that_is_started_together_with_us_has_time_to_make_its_key(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`qmanager &` and `qmworker &` in one go, on a fresh machine."""
    made: list[bytes] = []

    def refused(address: Address, seconds: float) -> socket.socket:
        if len(made) < 2:
            made.append(b"")
        else:
            made.append(make_key(home / "authkey"))
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(manager, "connect", refused)
    assert find_manager(Arguments({})).authkey == made[-1] != b""
    assert len(made) == 3


def test_without_a_key_one_of_several_managers_is_enough(
    manager: RunningManager, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qm.cli.manager._PATIENCE", 0.0)
    (home / "authkey").unlink()
    with pytest.raises(BadRequest, match="authkey"):
        find_manager(Arguments({"--rpc": f"127.0.0.1:1,{manager.address}"}))
    with pytest.raises(Unreachable, match=r"none of 2 managers.*127\.0\.0\.1:1 \(.*127\.0\.0\.1:2 \("):
        find_manager(Arguments({"--rpc": "127.0.0.1:1,127.0.0.1:2"}))


def test_with_a_manager_but_no_key_the_key_is_what_is_missing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        port = somebody.getsockname()[1]
        with pytest.raises(BadRequest, match="cannot read the authkey"):
            find_manager(Arguments({"--rpc": f"127.0.0.1:{port}"}))


def test_no_manager_is_an_exit_code_of_its_own(
    call: Call, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_key(home / "authkey")
    monkeypatch.setattr(qmclient, "Client", partial(Client, patience=0))
    said = call("status", "--rpc", "127.0.0.1:1")
    assert said == (
        7,
        "",
        "qmclient: cannot reach the manager at 127.0.0.1:1 (connection refused)\n"
        'hint: start one with "qmanager", or name another by QM_RPC\n',
    )


def test_another_key_is_an_exit_code_of_its_own(call: Call, manager: RunningManager, tmp_path: Path) -> None:
    make_key(tmp_path / "other")
    said = call("status", "--authkey-file", str(tmp_path / "other"))
    assert said.code == 4
    assert f"qmclient: the manager at {manager.address} refused the authkey\n" in said.err


def test_verbose_logs_what_happens(manager: RunningManager, capfd: pytest.CaptureFixture[str]) -> None:
    qmclient.main(["add", "--type", "mail", "-v"])
    said = capfd.readouterr().err
    assert "WARNING qmclient qm.client.producing" in said
    assert "hint:" not in said
