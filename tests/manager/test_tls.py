"""TLS on 8090: rows 4 and 31 of the table in hardening, and every way in which it can go wrong, in words."""

from __future__ import annotations

import datetime
import logging
import random
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from qm.client import Client
from qm.errors import AuthFailed, BadRequest, QueueError, Unreachable
from qm.manager.admission import Admission
from qm.wire import auth, servertls
from qm.wire.address import Address
from qm.wire.certificate import make_certificate
from qm.wire.remote import Remote
from tests.manager.serving import Managed, managed
from tests.wire.certificates import FAR, LONG_AGO, Authority, Files, authority, issue
from tests.wire.peers import KEY, OTHER_KEY, PATIENCE, Peer


@pytest.fixture
def ca() -> Authority:
    return authority()


@pytest.fixture
def files(tmp_path: Path, ca: Authority) -> Files:
    return issue(tmp_path / "manager", ca)


@pytest.fixture
def secured(files: Files) -> Iterator[Managed]:
    """A manager that speaks TLS."""
    with managed(tls=files.load()) as manager:
        yield manager


@pytest.fixture
def trust(tmp_path: Path, ca: Authority) -> str:
    return f"ca:{ca.write(tmp_path / 'ca.pem')}"


def connect(address: Address, tls: str, key: bytes = KEY) -> None:
    """One call, and no more."""
    remote = Remote(address, key, tls)
    try:
        remote.connect()
    finally:
        remote.close()


def refusal(address: Address, tls: str) -> str:
    """Why the manager is not the one we know, with what to do."""
    with pytest.raises(AuthFailed) as caught:
        connect(address, tls)
    return f"{caught.value}; {caught.value.hint}".replace(str(address), "HERE")


def logged(caplog: pytest.LogCaptureFixture, words: str) -> None:
    """Returns when the manager has logged this, in a thread of its own."""
    pause = threading.Event()
    for _ in range(500):
        if words in caplog.text:
            return
        pause.wait(PATIENCE / 500)
    raise AssertionError(f"{words!r} is not in {caplog.text!r}")


def test_a_client_that_pins_the_certificate_comes_in(secured: Managed, files: Files) -> None:
    connect(secured.address, files.load().fingerprint)
    connect(secured.address, files.load().fingerprint.upper().replace("SHA256", "sha256"))
    connect(secured.address, f"pin:{files.certificate}")


def test_a_client_that_pins_several_comes_in_to_each_and_to_no_other(
    secured: Managed, files: Files, tmp_path: Path, ca: Authority
) -> None:
    """Several managers, each with its own certificate; or one, before and after it is renewed."""
    second, third = (issue(tmp_path / name, ca).load() for name in ("second", "third"))
    pins = f"{second.fingerprint}, {files.load().fingerprint}"
    with managed(tls=second) as another, managed(tls=third) as stranger:
        connect(secured.address, pins)
        connect(another.address, pins)
        told = refusal(stranger.address, pins)
        assert f"the certificate of the manager at HERE is another one: {third.fingerprint}" in told
        with Client([secured.address, another.address, stranger.address], KEY, tls=pins) as client:
            client.status()
            assert client.address != stranger.address


@pytest.mark.parametrize("pins", ["{},", "{},sha256:12", "{},pin:x", "{};{}", "sha256:,{}"])
def test_half_a_list_of_pins_is_refused(files: Files, pins: str) -> None:
    with pytest.raises(BadRequest, match="is no fingerprint"):
        Remote(Address("host", 1), KEY, pins.format(files.load().fingerprint, files.load().fingerprint))


def test_a_ca_is_enough_for_several_managers(
    secured: Managed, tmp_path: Path, ca: Authority, trust: str
) -> None:
    """The name of each is checked against its own address."""
    with managed(tls=issue(tmp_path / "second", ca).load()) as another:
        places = [Address("localhost", secured.address.port), another.address]
        for _ in range(8):
            with Client(places, KEY, tls=trust) as client:
                client.status()


def test_a_client_that_knows_the_ca_comes_in_by_every_name_of_the_certificate(
    secured: Managed, trust: str
) -> None:
    connect(secured.address, trust)
    connect(Address("localhost", secured.address.port), trust)


def test_a_self_signed_certificate_can_stand_for_a_ca(tmp_path: Path) -> None:
    """What `qmanager tls init` makes, copied to the client as it is."""
    made = make_certificate(["queue.example"], now=1_700_000_000)
    files = Files(tmp_path / "tls.crt", tmp_path / "tls.key")
    files.certificate.write_bytes(made.certificate)
    files.key.touch(0o600)
    files.key.write_bytes(made.key)
    with managed(tls=files.load()) as manager:
        connect(manager.address, f"ca:{files.certificate}")
        connect(Address("localhost", manager.address.port), f"ca:{files.certificate}")
    with managed(address=("::1", 0), tls=files.load()) as manager:
        connect(manager.address, f"ca:{files.certificate}")


def test_a_client_does_all_its_work_over_tls(secured: Managed, files: Files) -> None:
    large = "x" * 1_000_000
    with Client(secured.address, KEY, tls=files.load().fingerprint) as client:
        ids = [client.add("mail", large) for _ in range(8)]
        assert {client.get(id_).input for id_ in ids} == {large}
        results: list[str] = []

        def wait() -> None:
            results.append(client.get(ids[0], wait=0.05).id)

        threads = [threading.Thread(target=wait) for _ in range(8)]
        for thread in threads:
            thread.start()
        assert {client.get(id_).input for id_ in ids} == {large}
        for thread in threads:
            thread.join()
        assert results == [ids[0]] * 8


def test_another_key_is_refused_over_tls_as_without(secured: Managed, files: Files) -> None:
    with pytest.raises(AuthFailed, match="refused the authkey"):
        connect(secured.address, files.load().fingerprint, OTHER_KEY)


def test_another_certificate_than_the_pinned_one_is_refused(secured: Managed, files: Files) -> None:
    said = refusal(secured.address, "sha256:" + "00" * 32)
    assert "the certificate of the manager at HERE is another one: " + files.load().fingerprint in said
    assert "from that machine itself" in said


def test_a_certificate_of_another_ca_is_refused(secured: Managed, tmp_path: Path) -> None:
    other = authority("another CA").write(tmp_path / "other.pem")
    said = refusal(secured.address, f"ca:{other}")
    assert said == (
        "the certificate of the manager at HERE is signed by another CA; "
        "name the right CA file by --tls-ca, or pin the certificate by --tls-fingerprint"
    )


def test_a_self_signed_certificate_is_no_member_of_our_ca(tmp_path: Path, trust: str) -> None:
    made = make_certificate([], now=1_700_000_000)
    files = Files(tmp_path / "tls.crt", tmp_path / "tls.key")
    files.certificate.write_bytes(made.certificate)
    files.key.touch(0o600)
    files.key.write_bytes(made.key)
    with managed(tls=files.load()) as manager:
        assert "is signed by another CA" in refusal(manager.address, trust)


def test_an_expired_certificate_is_refused_unless_it_is_the_pinned_one(
    tmp_path: Path, ca: Authority, trust: str
) -> None:
    files = issue(tmp_path / "old", ca, ends=LONG_AGO + datetime.timedelta(days=1))
    with managed(tls=files.load()) as manager:
        assert "the certificate of the manager at HERE has expired" in refusal(manager.address, trust)
        connect(manager.address, files.load().fingerprint)


def test_a_certificate_of_the_future_is_refused(tmp_path: Path, ca: Authority, trust: str) -> None:
    files = issue(tmp_path / "new", ca, begins=FAR - datetime.timedelta(days=1))
    with managed(tls=files.load()) as manager:
        said = refusal(manager.address, trust)
    assert "is not valid yet" in said and "clock" in said


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_certificate_for_another_host_is_refused(
    tmp_path: Path, ca: Authority, trust: str, host: str
) -> None:
    files = issue(tmp_path / "elsewhere", ca, hosts=["queue.example", "10.0.0.7"])
    with managed(tls=files.load()) as manager:
        said = refusal(Address(host, manager.address.port), trust)
        assert f"is not for the host {host}" in said and f"--hosts {host}" in said


def test_a_client_without_tls_is_told_at_once_that_the_manager_speaks_it(
    secured: Managed, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither waits until the other begins."""
    monkeypatch.setattr(servertls, "_SILENCE", PATIENCE)  # would be longer than the client stays
    caplog.set_level(logging.WARNING)
    said = refusal(secured.address, "")
    assert said == (
        "the manager at HERE speaks TLS; say how to know it: --tls-fingerprint sha256:..., or --tls-ca FILE;"
        " on its own host QM_TLS=on"
    )
    logged(caplog, "did not prove that it knows the authkey: it speaks no TLS")


def test_one_that_waits_for_the_managers_word_gets_an_alert(
    secured: Managed, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As the protocol allows a client of another library to do."""
    monkeypatch.setattr(servertls, "_SILENCE", 0.05)
    caplog.set_level(logging.WARNING)
    with Peer.at(secured.address) as peer:
        assert peer.read_to_end() == bytes.fromhex("15030300020228")
    logged(caplog, "without TLS, perhaps")


def test_a_client_with_tls_is_told_that_the_manager_has_none(
    manager: Managed, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    said = refusal(manager.address, "sha256:" + "00" * 32)
    assert said.startswith("the manager at HERE does not speak TLS; start it with --tls, or ")
    logged(caplog, "did not prove that it knows the authkey: it speaks TLS, and we do not")


@pytest.mark.parametrize("words", [b"SSH-2.0-x\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0" * 50])
def test_what_is_no_manager_at_all_is_no_tls_either(words: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        address = Address(*somebody.getsockname())

        def speak() -> None:
            there, _ = somebody.accept()
            with there:
                there.sendall(words)
                there.recv(1)

        speaker = threading.Thread(target=speak)
        speaker.start()
        assert "does not speak TLS" in refusal(address, "sha256:" + "00" * 32)
        speaker.join()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2])
def test_an_older_tls_is_refused_by_the_manager(
    secured: Managed, version: ssl.TLSVersion, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = version
    with (
        socket.create_connection(secured.address, PATIENCE) as raw,
        pytest.raises(ssl.SSLError, match=r"PROTOCOL_VERSION|protocol version"),
    ):
        context.wrap_socket(raw)
    logged(caplog, "unsupported protocol")


def test_a_manager_with_an_older_tls_is_refused_by_the_client(files: Files) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_server(("127.0.0.1", 0)) as somebody:

        def serve() -> None:
            raw, _ = somebody.accept()
            with raw, pytest.raises((ssl.SSLError, ConnectionError)):
                context.wrap_socket(raw, server_side=True)

        serving = threading.Thread(target=serve)
        serving.start()
        said = refusal(Address(*somebody.getsockname()), files.load().fingerprint)
        serving.join()
    assert said.startswith("the manager at HERE speaks an older TLS than 1.3")


def test_a_handshake_that_the_manager_cuts_can_be_tried_again(files: Files) -> None:
    """Not `AuthFailed`: a manager that is stopping looks so, and a worker must come back."""
    with socket.create_server(("127.0.0.1", 0)) as somebody:

        def cut() -> None:
            raw, _ = somebody.accept()
            with raw:
                raw.recv(100)

        cutting = threading.Thread(target=cut)
        cutting.start()
        with pytest.raises(Unreachable):
            connect(Address(*somebody.getsockname()), files.load().fingerprint)
        cutting.join()


HELLO = bytes.fromhex("16030100f8010000f40303") + bytes(100)


@pytest.mark.parametrize("begun", [b"", b"\x16", HELLO, b"GET / HTTP/1.1\r\n\r\n", bytes(64)])
def test_a_handshake_that_the_client_cuts_disturbs_nobody(
    secured: Managed, files: Files, begun: bytes
) -> None:
    """Fault 29; and it learns nothing."""
    for _ in range(5):
        with Peer.at(secured.address) as peer:
            peer.sock.sendall(begun)
            peer.sock.shutdown(socket.SHUT_WR)
            assert len(peer.read_to_end()) <= 7, "an alert, and nothing more"
    connect(secured.address, files.load().fingerprint)


def test_garbage_on_a_tls_port_disturbs_nobody(secured: Managed, files: Files) -> None:
    """Fault 25: bytes of chance, most of them behind what looks like the beginning of TLS."""
    chance = random.Random(25)
    begins = (b"", b"\x15\x03\x03\x00\x02", b"\x16", b"\x16\x03\x01", HELLO[:9], HELLO)
    for _ in range(300):
        with Peer.at(secured.address) as peer:
            peer.sock.sendall(chance.choice(begins) + chance.randbytes(chance.randrange(1, 600)))
            peer.sock.shutdown(socket.SHUT_WR)
            assert len(peer.read_to_end()) <= 7
    connect(secured.address, files.load().fingerprint)


def test_a_client_that_trickles_its_greeting_is_closed_at_the_deadline(
    secured: Managed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 6: the deadline is for TLS and key together."""
    monkeypatch.setattr(auth, "HANDSHAKE_DEADLINE", 0.1)
    with Peer.at(secured.address) as peer:
        peer.sock.sendall(HELLO[:20])
        assert peer.read_to_end() == b""


def test_silent_clients_do_not_hold_up_an_honest_one(secured: Managed, files: Files) -> None:
    """Row 31: the handshake is made in the connection's own thread, never where connections are accepted."""
    with ExitStack() as stack:
        for number in range(30):
            silent = stack.enter_context(Peer.at(secured.address))
            if number % 2:
                silent.sock.sendall(HELLO[:20])
        remote = Remote(secured.address, KEY, files.load().fingerprint)
        stack.callback(remote.close)
        in_time = threading.Thread(target=remote.connect)
        in_time.start()
        in_time.join(servertls._SILENCE / 2)
        assert not in_time.is_alive(), "it waited for the silent ones"


def test_a_renewed_certificate_is_for_new_connections_and_the_old_ones_stay(
    secured: Managed, files: Files, tmp_path: Path, ca: Authority
) -> None:
    with Client(secured.address, KEY, tls=f"pin:{files.certificate}", patience=0) as client:
        client.status()
        renewed = issue(tmp_path / "renewed", ca)
        secured.server.admit_by(Admission.of(KEY, renewed.load()))
        client.status()
        with pytest.raises(AuthFailed, match="is another one"):
            connect(secured.address, files.load().fingerprint)
        connect(secured.address, renewed.load().fingerprint)
        files.certificate.write_bytes(renewed.certificate.read_bytes())
        connect(secured.address, f"pin:{files.certificate}")
        client.status()


def test_a_parked_call_over_tls_notices_that_its_client_is_gone(secured: Managed, files: Files) -> None:
    """Row 24 over TLS: what the watcher looks at is the socket below."""
    client = Client(secured.address, KEY, tls=files.load().fingerprint, patience=0)
    id_ = client.add("mail", 1)

    def wait() -> None:
        with pytest.raises(QueueError):
            client.get(id_, wait=30)

    waiting = threading.Thread(target=wait)
    waiting.start()
    while not secured.server._watcher._parked:
        waiting.join(0.01)
    with secured.server._lock:
        connections = list(secured.server._proved)
    for connection in connections:
        connection.hang_up()
    waiting.join(PATIENCE)
    assert not waiting.is_alive()
    pause = threading.Event()
    for _ in range(500):
        if not secured.server._watcher._parked:
            break
        pause.wait(PATIENCE / 500)
    assert not secured.server._watcher._parked
    client.close()
