"""qmanager tls init, and the flags by which clients know what it made."""

from __future__ import annotations

import hashlib
import ssl
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from qm.cli import qmanager
from qm.errors import BadRequest
from qm.testing import RunningManager
from qm.wire.certificate import end_of, make_certificate
from qm.wire.keys import make_key
from qm.wire.servertls import ServerTLS
from tests.cli.stage import Call, Said
from tests.manager.serving import Managed, managed
from tests.wire.certificates import authority


@pytest.fixture
def init(capsys: pytest.CaptureFixture[str]):
    def run(*words: str) -> Said:
        capsys.readouterr()
        code = qmanager.main(["tls", "init", *words])
        return Said(code, *capsys.readouterr())

    return run


@pytest.fixture
def secured(home: Path, init, monkeypatch: pytest.MonkeyPatch) -> Iterator[Managed]:
    """A manager with what `tls init` made, that the programs find by the environment."""
    init()
    with managed(
        keys=make_key(home / "authkey"), tls=ServerTLS.load(home / "tls.crt", home / "tls.key")
    ) as it:
        monkeypatch.setenv("QM_RPC", str(it.address))
        yield it


def certificate_of(home: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate((home / "tls.crt").read_bytes())


def names_of(home: Path) -> set[str]:
    names = certificate_of(home).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(name.value) for name in names}


def test_the_fingerprint_is_printed_and_nothing_else(home: Path, init) -> None:
    said = init()
    der = ssl.PEM_cert_to_DER_cert((home / "tls.crt").read_text())
    assert (said.code, said.out) == (0, f"sha256:{hashlib.sha256(der).hexdigest()}\n")
    assert "hint: start qmanager with --tls" in said.err


def test_the_private_key_is_for_its_owner_alone(home: Path, init) -> None:
    init()
    assert stat.S_IMODE((home / "tls.key").stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert sorted(path.name for path in home.iterdir()) == ["tls.crt", "tls.key"], "nothing else is left"


def test_it_is_for_the_hosts_that_were_named_and_this_machine(home: Path, init) -> None:
    init("--hosts", "queue.example, 10.0.0.7,*.lan,bücher.example")
    ours = {"queue.example", "10.0.0.7", "*.lan", "xn--bcher-kva.example"}
    assert names_of(home) >= ours | {"localhost", "127.0.0.1", "::1"}


def test_it_holds_for_ten_years_and_can_sign_nothing(home: Path, init) -> None:
    made = make_certificate([], now=1_000_000_000.0)
    assert end_of(made.certificate) == pytest.approx(1_000_000_000 + 3653 * 86400)
    init()
    basic = certificate_of(home).extensions.get_extension_for_class(x509.BasicConstraints)
    assert basic.critical and not basic.value.ca


@pytest.mark.parametrize("there", ["tls.crt", "tls.key"])
def test_what_is_there_is_not_replaced_without_a_word(home: Path, init, there: str) -> None:
    home.mkdir()
    (home / there).write_text("precious")
    said = init()
    assert said.code == 2 and f"{home / there} is there already" in said.err and "--force" in said.err
    assert (home / there).read_text() == "precious"
    assert init("--force").code == 0
    assert (home / there).read_text() != "precious"


def test_a_host_that_is_none_is_refused_before_anything_is_written(home: Path, init) -> None:
    said = init("--hosts", "a..b")
    assert said.code == 2 and "'a..b' is no host name" in said.err
    assert not home.exists()


def test_a_home_that_cannot_be_written_is_a_clear_error(home: Path, init) -> None:
    home.write_text("a file")
    said = init()
    assert said.code == 2 and "cannot write" in said.err and "QM_HOME" in said.err


def test_a_client_that_is_told_the_fingerprint_comes_in(secured: Managed, home: Path, call: Call) -> None:
    pin = ServerTLS.load(home / "tls.crt", home / "tls.key").fingerprint
    assert call("status", "--tls-fingerprint", pin).code == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [("QM_TLS", "on"), ("QM_TLS_CA", "HOME/tls.crt"), ("QM_TLS_FINGERPRINT", "PIN")],
)
def test_the_environment_can_say_it_too(
    secured: Managed, home: Path, call: Call, name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pin = ServerTLS.load(home / "tls.crt", home / "tls.key").fingerprint
    monkeypatch.setenv(name, value.replace("HOME", str(home)).replace("PIN", pin))
    assert call("status").code == 0
    assert call("add", "--type", "mail").code == 0


def test_a_flag_goes_before_the_environment(
    secured: Managed, home: Path, call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = authority("another").write(tmp_path / "other.pem")
    monkeypatch.setenv("QM_TLS", "on")
    said = call("status", "--tls-ca", str(other))
    assert said.code == 4 and "is signed by another CA" in said.err


def test_another_certificate_is_an_exit_code_of_its_own(secured: Managed, call: Call) -> None:
    said = call("status", "--tls-fingerprint", "sha256:" + "0" * 64)
    assert said.code == 4
    assert f"qmclient: the certificate of the manager at {secured.address} is another one" in said.err


def test_a_manager_without_tls_is_an_exit_code_of_its_own(manager: RunningManager, call: Call) -> None:
    said = call("status", "--tls-fingerprint", "sha256:" + "0" * 64)
    assert said.code == 4 and "does not speak TLS" in said.err


@pytest.mark.parametrize(
    ("words", "environ", "complaint"),
    [
        (["--tls-fingerprint", "sha256:12"], {}, "'sha256:12' is no fingerprint"),
        (["--tls-fingerprint", "ab" * 32], {}, "says no certificate"),
        (["--tls-ca", "/nowhere.pem"], {}, "cannot read the CA file /nowhere.pem: No such file"),
        (["--tls-ca", "/dev/null"], {}, "there is no certificate (PEM) in /dev/null"),
        (["--tls-ca", "x", "--tls-fingerprint", "y"], {}, "--tls-fingerprint and --tls-ca: only one"),
        ([], {"QM_TLS_CA": "x", "QM_TLS_FINGERPRINT": "y"}, "QM_TLS_FINGERPRINT and QM_TLS_CA: only one"),
        ([], {"QM_TLS": "yes"}, "QM_TLS is on or off, not 'yes'"),
        ([], {"QM_TLS": "on"}, "cannot read the certificate"),
    ],
)
def test_what_makes_no_sense_is_said(
    manager: RunningManager,
    call: Call,
    words: list[str],
    environ: dict[str, str],
    complaint: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    said = call("status", *words)
    assert said.code == 2 and complaint in said.err and "unexpected" not in said.err


@pytest.mark.parametrize("broken", ["no PEM", "another key", "open", "encrypted", "missing"])
def test_files_that_a_manager_cannot_use_are_said(home: Path, init, broken: str) -> None:
    init()
    certificate, key = home / "tls.crt", home / "tls.key"
    match broken:
        case "no PEM":
            certificate.write_text("nonsense")
        case "another key":
            key.write_bytes(make_certificate([], 0).key)
        case "open":
            key.chmod(0o640)
        case "encrypted":
            made = serialization.load_pem_private_key(key.read_bytes(), None)
            pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
            key.write_bytes(made.private_bytes(pem, form, serialization.BestAvailableEncryption(b"secret")))
        case "missing":
            key.unlink()
    with pytest.raises(BadRequest, match=r"tls\.(crt|key)"):
        ServerTLS.load(certificate, key)
