"""Fault 28: what a thief of words can do with them. Row 4: a real relay between an honest client and manager,
which reads and forwards every frame."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from qm.errors import AuthFailed, Unreachable
from qm.wire.address import Address
from qm.wire.auth import handshake_deadline
from qm.wire.frames import Connection, WireError
from qm.wire.listener import Listener
from qm.wire.remote import Remote
from qm.wire.servertls import ServerTLS
from qm.wire.trust import Trust
from tests.manager.serving import Managed, managed
from tests.wire.certificates import authority, issue
from tests.wire.peers import KEY, PATIENCE, Peer, proof


@contextmanager
def relay(
    manager: Address, before: ServerTLS | None, behind: Trust | None
) -> Iterator[tuple[Address, list[bytes]]]:
    """Where it listens, and the frames that it read. It shows clients the certificate of `before`, and knows
    the manager by `behind`; None: without TLS on that side."""
    listener = Listener(("127.0.0.1", 0))
    overheard: list[bytes] = []

    def forward(source: Connection, target: Connection) -> None:
        with suppress(OSError, EOFError, WireError):
            while True:
                frame = bytes(source.recv_frame(PATIENCE))
                overheard.append(frame)
                target.send_frame(frame, PATIENCE)
        for end in (source, target):
            end.hang_up()

    def serve(client: Connection) -> None:
        server = Connection(socket.create_connection(manager, PATIENCE))
        try:
            if before is not None:
                before.welcome(client, handshake_deadline())
            if behind is not None:
                behind.secure(server, manager, handshake_deadline())
            back = threading.Thread(target=forward, args=(server, client))
            back.start()
            forward(client, server)
            back.join()
        finally:
            client.close()
            server.close()

    def run() -> None:
        with suppress(OSError), ThreadPoolExecutor() as pool:
            while True:
                pool.submit(serve, listener.accept())

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield listener.address, overheard
    finally:
        listener.close()
        thread.join()


def reach(address: Address, tls: str) -> None:
    remote = Remote(address, KEY, tls)
    try:
        remote.connect()
    finally:
        remote.close()


def test_a_relay_under_another_certificate_is_refused_be_it_a_good_one(tmp_path: Path) -> None:
    """Row 4: signed by the same CA, for the same host; TLS has no fault to find with it. The handshake has:
    both ends prove which certificate they saw."""
    ca = authority()
    ours, theirs = issue(tmp_path / "ours", ca), issue(tmp_path / "theirs", ca)
    trust = f"ca:{ca.write(tmp_path / 'ca.pem')}"
    with managed(tls=ours.load()) as manager:
        reach(manager.address, trust)
        with relay(manager.address, theirs.load(), Trust(trust)) as (address, overheard):
            with pytest.raises(AuthFailed, match="refused the authkey"):
                reach(address, trust)
            assert len(overheard) == 4, "challenge and answer passed through it, twice, in vain"


def test_what_the_relay_lacks_is_the_certificate_and_nothing_else(tmp_path: Path) -> None:
    """With the manager's own it works: so it is a relay, and the certificate what refuses another."""
    ca = authority()
    ours = issue(tmp_path / "ours", ca)
    trust = f"ca:{ca.write(tmp_path / 'ca.pem')}"
    with (
        managed(tls=ours.load()) as manager,
        relay(manager.address, ours.load(), Trust(trust)) as (address, overheard),
    ):
        reach(address, trust)
        assert len(overheard) > 3


@pytest.mark.parametrize("side", ["before", "behind"])
def test_a_relay_that_speaks_tls_on_one_side_only_is_refused(tmp_path: Path, side: str) -> None:
    """The hash of a certificate that one of them did not see is none."""
    ca = authority()
    ours = issue(tmp_path / "ours", ca)
    trust = f"ca:{ca.write(tmp_path / 'ca.pem')}"
    before, behind = (ours.load(), None) if side == "before" else (None, Trust(trust))
    with (
        managed(tls=ours.load() if behind else None) as manager,
        relay(manager.address, before, behind) as (address, _),
        pytest.raises(AuthFailed),
    ):
        reach(address, trust if before else "")


def test_without_tls_a_relay_is_not_noticed() -> None:
    """So the test above shows what TLS adds."""
    with managed() as manager, relay(manager.address, None, None) as (address, overheard):
        reach(address, "")
        assert len(overheard) > 3


#: Opens a connection to a manager, as far as the challenge.
Open = Callable[[Address], tuple[Peer, bytes]]


@pytest.fixture(params=["plain", "TLS"])
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Managed, Open, bytes]]:
    """A manager, how a stranger connects to it, and the hash of its certificate."""
    tls = issue(tmp_path / "ours", authority()).load() if request.param == "TLS" else None

    def open_(address: Address) -> tuple[Peer, bytes]:
        sock = socket.create_connection(address, PATIENCE)
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            sock = context.wrap_socket(sock)  # the standard library's own: so it is TLS as others speak it
        peer = Peer(sock)
        return peer, peer.read()[3:]

    with managed(tls=tls) as manager:
        yield manager, open_, tls.certificate if tls is not None else b""


def silent(peer: Peer) -> bool:
    """Whether it was closed without another byte."""
    with peer:
        return peer.read_to_end() == b""


def test_an_honest_stranger_with_the_key_comes_in(stage: tuple[Managed, Open, bytes]) -> None:
    """Else nothing below would show anything."""
    manager, open_, certificate = stage
    peer, challenge = open_(manager.address)
    with peer:
        peer.send(bytes(32) + proof(KEY, b"client", challenge, bytes(32) + certificate))
        assert peer.read() == proof(KEY, b"server", challenge, bytes(32) + certificate)


@pytest.mark.parametrize("key", [b"w" * 32, b"", b"k" * 31, b"k" * 33], ids=["wrong", "empty", "31", "33"])
def test_another_key_gets_not_a_byte(stage: tuple[Managed, Open, bytes], key: bytes) -> None:
    manager, open_, certificate = stage
    peer, challenge = open_(manager.address)
    peer.send(bytes(32) + proof(key, b"client", challenge, bytes(32) + certificate))
    assert silent(peer)


def test_a_recorded_handshake_replayed_gets_not_a_byte(stage: tuple[Managed, Open, bytes]) -> None:
    manager, open_, certificate = stage
    peer, challenge = open_(manager.address)
    recorded = bytes(32) + proof(KEY, b"client", challenge, bytes(32) + certificate)
    with peer:
        peer.send(recorded)
        assert peer.read(), "it was good once"
    again, other = open_(manager.address)
    assert other != challenge
    again.send(recorded)
    assert silent(again)


def test_the_managers_own_words_sent_back_get_not_a_byte(stage: tuple[Managed, Open, bytes]) -> None:
    """Reflection: its challenge, its proof of another connection, and its proof made by itself over ours."""
    manager, open_, certificate = stage
    first, challenge = open_(manager.address)
    with first:
        first.send(bytes(32) + proof(KEY, b"client", challenge, bytes(32) + certificate))
        servers = first.read()
    for answer in (servers, challenge):
        peer, hello = open_(manager.address)
        peer.send(hello + answer)
        assert silent(peer)
    peer, hello = open_(manager.address)
    peer.send(bytes(32) + proof(KEY, b"server", hello, bytes(32) + certificate))
    assert silent(peer)


def test_a_challenge_passed_on_to_another_connection_gets_not_a_byte(
    stage: tuple[Managed, Open, bytes],
) -> None:
    """Two connections at once: what is right for one is wrong for the other."""
    manager, open_, certificate = stage
    one, first = open_(manager.address)
    other, _ = open_(manager.address)
    other.send(bytes(32) + proof(KEY, b"client", first, bytes(32) + certificate))
    assert silent(other)
    one.sock.close()


def test_without_tls_the_words_are_as_they_always_were() -> None:
    """Clients of earlier versions come in: nothing is appended where there is no certificate."""
    with managed() as manager, Peer.known(manager.address):
        pass


def test_a_proof_without_the_certificate_is_none_over_tls(tmp_path: Path) -> None:
    """A client must not be talked out of the binding."""
    tls = issue(tmp_path / "ours", authority()).load()
    with managed(tls=tls) as manager:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        peer = Peer(context.wrap_socket(socket.create_connection(manager.address, PATIENCE)))
        challenge = peer.read()[3:]
        peer.send(bytes(32) + proof(KEY, b"client", challenge, bytes(32)))
        assert silent(peer)


def test_a_manager_that_only_says_it_knows_the_key_is_found_out(tmp_path: Path) -> None:
    """The other direction, over TLS: it has the certificate, and not the key."""
    tls = issue(tmp_path / "ours", authority()).load()
    listener = Listener(("127.0.0.1", 0))
    with ThreadPoolExecutor() as pool:

        def pretend() -> None:
            connection = listener.accept()
            tls.welcome(connection, handshake_deadline())
            connection.send_frame(b"qm1" + os.urandom(32))
            connection.recv_frame(PATIENCE)
            connection.send_frame(os.urandom(32))
            with suppress(EOFError, OSError):
                connection.recv_frame(PATIENCE)
            connection.close()

        pretending: Future[None] = pool.submit(pretend)
        with pytest.raises((AuthFailed, Unreachable), match="does not know our authkey"):
            reach(listener.address, tls.fingerprint)
        pretending.result(PATIENCE)
    listener.close()


def test_frames_travel_unreadable(tmp_path: Path) -> None:
    """What a listener on the way sees of the words of a call."""
    tls = issue(tmp_path / "ours", authority()).load()
    seen: list[bytes] = []
    with managed(tls=tls) as manager, socket.create_server(("127.0.0.1", 0)) as tap:

        def pump(source: socket.socket, target: socket.socket) -> None:
            with suppress(OSError):
                while chunk := source.recv(65536):
                    seen.append(chunk)
                    target.sendall(chunk)
                target.shutdown(socket.SHUT_WR)

        def listen() -> None:
            client, _ = tap.accept()
            with client, socket.create_connection(manager.address, PATIENCE) as server:
                back = threading.Thread(target=pump, args=(server, client))
                back.start()
                pump(client, server)
                back.join()

        listening = threading.Thread(target=listen)
        listening.start()
        reach(Address(*tap.getsockname()), tls.fingerprint)
        listening.join()
    heard = b"".join(seen)
    assert len(heard) > 500
    for words in (b"queue", b"status"):
        assert words not in heard
