"""Strangers: what they get (a challenge), how long they may stay, and that they never lock out the others."""

from __future__ import annotations

import _thread
import errno
import logging
import os
import pickle
import socket
import time
from contextlib import ExitStack, suppress
from typing import Any

import pytest

from qm.errors import AuthFailed
from qm.manager import Server
from qm.manager import server as server_module
from qm.manager.tally import Refusal
from qm.wire import auth
from qm.wire.remote import Channels, dial
from tests.manager.serving import Echo, ask
from tests.wire.peers import KEY, OTHER_KEY, PATIENCE, Peer, framed, proof, turned_away

#: A challenge: its length, "qm1", and 32 random bytes.
CHALLENGE = 4 + 3 + 32

WRONG = {
    "a wrong proof": framed(bytes(64)),
    "a proof of another key": framed(bytes(32) + proof(OTHER_KEY, b"client", bytes(32), bytes(32))),
    "nothing": framed(b""),
    "a short answer": framed(bytes(63)),
    "a long answer": framed(bytes(65)),
    "a huge length": b"\xff\xff\xff\xff" + bytes(100),
    "a browser": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "TLS": bytes.fromhex("16030100f8010000f40303") + bytes(100),
    "a pickle": framed(pickle.dumps({"a": 1})),
    "the standard library": framed(b"#CHALLENGE#" + bytes(20)),
}


@pytest.mark.parametrize("answer", WRONG.values(), ids=WRONG)
def test_a_refused_peer_gets_the_challenge_and_not_a_byte_more(server: Server, answer: bytes) -> None:
    """Row 5: no reason, no version, no traceback."""
    with Peer.at(server.address) as peer:
        peer.sock.sendall(answer)
        assert len(peer.read_to_end()) == CHALLENGE


def test_a_peer_that_says_half_an_answer_gets_no_more(server: Server) -> None:
    """Row 5."""
    with Peer.at(server.address) as peer:
        peer.sock.sendall(framed(bytes(64))[:20])
        peer.sock.shutdown(socket.SHUT_WR)
        assert len(peer.read_to_end()) == CHALLENGE


def test_a_refusal_is_logged_with_the_peers_address_and_without_its_words(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """Row 5: what the peer is not told, the log is."""
    caplog.set_level(logging.WARNING)
    with Peer.at(server.address) as peer:
        peer.sock.sendall(framed(b"fake\nlog line" + bytes(51)))
        peer.read_to_end()
        host, port = peer.sock.getsockname()
    (record,) = caplog.records
    assert record.getMessage() == f"{host}:{port} was refused: it does not know the authkey"


def test_a_wrong_guess_costs_time(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 5."""
    assert 0.2 <= PAUSE[0] < PAUSE[1] <= 0.5
    monkeypatch.setattr(server_module, "_REFUSAL_PAUSE", (0.05, 0.06))
    with Peer.at(server.address) as peer:
        peer.read()
        begun = time.monotonic()
        peer.send(bytes(64))
        assert peer.read_to_end() == b""
    assert time.monotonic() - begun >= 0.05


#: Before the fixture takes it away.
PAUSE = server_module._REFUSAL_PAUSE


def test_a_silent_peer_is_closed_at_the_deadline(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 6."""
    monkeypatch.setattr(auth, "HANDSHAKE_DEADLINE", 0.05)
    with Peer.at(server.address) as peer:
        assert len(peer.read_to_end()) == CHALLENGE


def test_a_peer_that_trickles_is_closed_at_the_same_deadline(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 6: the deadline is for the whole handshake, not for each byte of it."""
    monkeypatch.setattr(auth, "HANDSHAKE_DEADLINE", 0.1)
    with Peer.at(server.address) as peer:
        peer.read()
        peer.sock.settimeout(0.02)
        begun = time.monotonic()
        sent = 0
        for byte in framed(bytes(64)):
            try:
                peer.sock.sendall(bytes([byte]))
                sent += 1
                if peer.sock.recv(1) == b"":
                    break
            except TimeoutError:
                continue
            except ConnectionError:
                break
    assert sent < 4 + 64, "it was let say all"
    assert time.monotonic() - begun < 5


def test_silent_peers_do_not_lock_out_honest_ones(server: Server) -> None:
    """Row 6: of those that have not proved anything 64 may stay, the oldest go first."""
    with ExitStack() as stack:
        silent = [stack.enter_context(Peer.at(server.address)) for _ in range(200)]
        honest = Channels(server.address, b"k" * 32)
        assert ask(honest, "echo", "still here") == "still here"
        honest.close()
        with server._lock:
            assert len(server._unproved) <= 64
        for peer in silent[:100]:
            assert len(peer.read_to_end()) in (0, CHALLENGE)


def test_one_that_is_sent_away_for_others_is_reset(server: Server) -> None:
    """Row 6: it may be an honest one on a slow line. An orderly end would tell it that its key is wrong."""
    with ExitStack() as stack:
        first = stack.enter_context(Peer.at(server.address))
        first.read()
        for _ in range(64):
            stack.enter_context(Peer.at(server.address)).read()
        with pytest.raises(ConnectionResetError):
            first.sock.recv(1)


def test_a_flood_from_one_host_pushes_out_none_of_another(server: Server) -> None:
    """Row 6: an honest one on a slow line is not the oldest that counts."""
    with ExitStack() as stack:
        slow = stack.enter_context(Peer.at(server.address))
        hello, ours = slow.read(), bytes(32)
        for _ in range(200):
            flood = socket.create_connection(
                server.address, timeout=PATIENCE, source_address=("127.0.0.2", 0)
            )
            stack.enter_context(flood).recv(1)
        slow.send(ours + proof(KEY, b"client", hello[3:], ours))
        assert slow.read() == proof(KEY, b"server", hello[3:], ours)
        assert server.tally.refused[Refusal.CROWDED_OUT] >= 100


def test_those_that_proved_their_key_are_not_counted(server: Server) -> None:
    """Row 6: one host may run any number of workers."""
    with ExitStack() as stack:
        known = [stack.enter_context(Peer.known(server.address)) for _ in range(100)]
        for number, peer in enumerate(known):
            peer.ask(number, "echo", "echo", b"\x91\xa2hi")
            assert peer.read()
        assert len(server._unproved) == 0


def test_honest_peers_get_in_while_others_guess(server: Server) -> None:
    """Row 6: also while a flood of guesses is being refused."""
    with ExitStack() as stack:
        for _ in range(100):
            guesser = stack.enter_context(Peer.at(server.address))
            guesser.send(os.urandom(64))
        channels = Channels(server.address, b"k" * 32)
        assert ask(channels, "echo", "here") == "here"
        channels.close()


def test_a_stopping_manager_does_not_look_like_one_with_another_key(server: Server, echo: Echo) -> None:
    """A worker would give up where it should come back."""
    with Peer.at(server.address) as peer:
        peer.read()
        server.stop()
        with pytest.raises(ConnectionResetError):
            peer.sock.recv(1)


def test_a_client_with_another_key_is_told_so_by_its_own_side(server: Server) -> None:
    """Row 3."""
    with pytest.raises(AuthFailed, match="refused the authkey") as caught:
        dial(server.address, OTHER_KEY)
    assert caught.value.hint == "use that manager's key (--authkey-file)"


def test_a_peer_that_leaves_at_once_is_no_trouble(server: Server, channels: Channels) -> None:
    for _ in range(50):
        Peer.at(server.address).sock.close()
    assert ask(channels, "echo", "here") == "here"


def test_a_failing_accept_is_neither_the_end_nor_a_busy_loop(
    server: Server, channels: Channels, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 7: out of descriptors, it waits a moment and tries again."""
    accept = server.listener.accept
    failed: list[float] = []

    def failing() -> object:
        if len(failed) < 6:  # each time it is tried again at once, with the spare descriptor
            failed.append(time.monotonic())
            raise OSError(errno.EMFILE, "Too many open files")
        return accept()

    ask(channels, "echo", "its connection is there")
    monkeypatch.setattr(server.listener, "accept", failing)
    with suppress(ConnectionError):  # for the accept under way; it may have to go for the next one at once
        Peer.at(server.address).sock.close()
    with Peer.known(server.address):
        assert len(failed) == 6
        assert failed[-1] - failed[0] >= 2 * 0.02


def test_a_connection_for_which_there_is_no_thread_is_closed_and_the_next_one_served(
    server: Server, channels: Channels, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 8: the standard library's server is deaf from then on."""
    ask(channels, "echo", "its own threads run")
    start = _thread.start_new_thread
    refused: list[object] = []

    def limited(*args: Any) -> int:
        if not refused:
            refused.append(args)
            raise RuntimeError("can't start new thread")
        return start(*args)

    monkeypatch.setattr(_thread, "start_new_thread", limited)
    assert turned_away(server.address)
    assert server.tally.refused[Refusal.THREADS] == 1
    assert ask(channels, "echo", "here", timeout=PATIENCE) == "here"
