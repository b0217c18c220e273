"""What qmanager asks of those who come, and what it shows them."""

from __future__ import annotations

import logging
import stat
from pathlib import Path

import pytest

from qm.cli.arguments import Arguments
from qm.cli.commands.tls import init
from qm.cli.credentials import Credentials
from qm.cli.settings import TLSFiles
from qm.clock import SystemClock
from qm.errors import BadRequest
from qm.wire import certificate
from qm.wire.keyfile import add_key, remove_key
from qm.wire.keys import make_key, read_key
from qm.wire.roles import Role
from tests.cli.stage import make_homeless


def credentials(home: Path, tls: bool = False) -> Credentials:
    return Credentials(home / "authkey", TLSFiles(home / "tls.crt", home / "tls.key") if tls else None)


def test_the_key_is_made_once_and_kept(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    first = credentials(home).open()
    assert "made a key" in caplog.text
    assert stat.S_IMODE((home / "authkey").stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert credentials(home).open().keys[0] == first.keys[0]
    assert first.keys[0].secret == read_key(home / "authkey")
    assert first.keys[0].secret.decode() not in caplog.text


def test_a_key_that_others_can_read_is_refused(home: Path) -> None:
    credentials(home).open()
    (home / "authkey").chmod(0o640)
    with pytest.raises(BadRequest, match="is open to other users"):
        credentials(home).open()


def test_a_key_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadRequest, match=r"cannot (make|read) the authkey [^ ]+: Not a directory"):
        Credentials(tmp_path / "file" / "authkey", None).open()


def test_a_user_without_a_home_has_its_files_elsewhere(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_key(home / "authkey")
    make_homeless(monkeypatch)
    assert Credentials(home / "authkey", None).open().keys


def test_a_home_that_others_can_enter_is_warned_about(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    home.mkdir(mode=0o755)
    credentials(home).open()
    assert f"{home} is open to other users; chmod 700 {home}" in caplog.text


def test_the_web_process_has_a_key_of_its_own_that_can_only_read_and_that_no_file_has(home: Path) -> None:
    one, other = credentials(home), credentials(home)
    *_, web = one.open().keys
    assert (web.role, web.secret) == (Role.CLIENT, one.web_secret)
    assert web.secret not in (home / "authkey").read_bytes()
    assert web.secret != other.web_secret
    assert one.read().keys[-1] == web, "it stays when the files are read again"


def test_a_key_that_is_gone_is_not_made_again_while_it_serves(home: Path) -> None:
    """An operator who moves the file to edit it must not find another one in its place."""
    one = credentials(home)
    one.open()
    (home / "authkey").unlink()
    with pytest.raises(BadRequest, match="cannot read the authkey"):
        one.read()
    assert not (home / "authkey").exists()


def test_keys_are_read_as_they_are_now(home: Path) -> None:
    one = credentials(home)
    one.open()
    add_key(home / "authkey", "web1", Role.CLIENT)
    assert [key.name for key in one.read().keys] == ["default", "web1", "web"]
    remove_key(home / "authkey", "default")
    assert [key.name for key in one.read().keys] == ["web1", "web"]


def test_without_a_certificate_there_is_no_tls_and_the_hint_says_how_to_get_one(home: Path) -> None:
    with pytest.raises(BadRequest, match=r"cannot read the certificate .*tls\.crt: No such file") as caught:
        credentials(home, tls=True).open()
    assert caught.value.hint == "make them with: qmanager tls init"


def test_a_certificate_is_loaded_and_its_fingerprint_logged(
    home: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)
    init(Arguments({}))
    printed = capsys.readouterr().out.strip()
    one = credentials(home, tls=True)
    tls = one.open().tls
    assert tls is not None and tls.fingerprint == printed and printed in caplog.text
    assert one.web_tls == f"pin:{home}/tls.crt"


@pytest.mark.parametrize(
    ("left", "words"), [(-1.0, "has expired"), (10 * 86400.0 + 60, "expires in 10 days")]
)
def test_a_certificate_near_its_end_is_warned_about(
    left: float, words: str, home: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    init(Arguments({}))
    end = certificate.end_of((home / "tls.crt").read_bytes())
    monkeypatch.setattr(SystemClock, "now", lambda _: end - left)
    credentials(home, tls=True).open()
    assert words in caplog.text
