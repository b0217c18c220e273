"""The handshake: both ends prove that they know the key, and nothing that anybody ever said helps another."""

from __future__ import annotations

import hmac
import os
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qm.errors import AuthFailed, BadRequest
from qm.limits import KEY_MIN
from qm.wire import auth, frames
from qm.wire.auth import admit, check_key, introduce
from qm.wire.frames import Connection, WireError
from qm.wire.remote import Remote
from qm.wire.roles import Key, Role
from tests.wire.peers import KEY, OTHER_KEY, Clock, Peer, Script, framed, proof

Side = Callable[[Connection], None]


def server(connection: Connection, key: bytes = KEY) -> None:
    admit(connection, [Key("a", Role.CLIENT, key)])


def client(connection: Connection, key: bytes = KEY) -> None:
    introduce(connection, key, "somewhere:8090")


class Stage:
    """One side of the handshake in a thread, and a peer that plays the other by hand."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._open: list[socket.socket] = []

    def against(self, side: Side) -> tuple[Peer, Future[None]]:
        ours, theirs = socket.socketpair()
        self._open += [ours, theirs]

        def act() -> None:
            with ours:
                side(Connection(ours))

        return Peer(theirs), self._pool.submit(act)

    def close(self) -> None:
        for sock in self._open:
            sock.close()


@pytest.fixture
def stage() -> Iterator[Stage]:
    with ThreadPoolExecutor() as pool:
        stage = Stage(pool)
        yield stage
        stage.close()


def test_two_ends_with_one_key_agree(stage: Stage) -> None:
    left, right = socket.socketpair()
    with left, right, ThreadPoolExecutor() as pool:
        admitted = pool.submit(server, Connection(left))
        client(Connection(right))
        admitted.result()


def test_the_handshake_is_as_documented(stage: Stage) -> None:
    """Row 3: HMAC-SHA256 over a label of the role and 32 fresh bytes of each side; see `Peer`."""
    peer, admitted = stage.against(server)
    peer.introduce()
    admitted.result()
    peer, introduced = stage.against(client)
    peer.admit()
    introduced.result()


def test_a_client_says_the_length_of_its_frame_before_it_is_asked(stage: Stage) -> None:
    """A manager with TLS waits for the client: the two would wait for each other."""
    peer, introduced = stage.against(client)
    assert peer.sock.recv(100) == b"\0\0\0\x40"
    hello = b"qm1" + bytes(32)
    peer.send(hello)
    answer = peer.sock.recv(100)
    assert len(answer) == 64
    peer.send(proof(KEY, b"server", hello[3:], answer[:32]))
    introduced.result()


def test_a_client_with_another_key_is_refused(stage: Stage) -> None:
    """Row 3."""
    peer, admitted = stage.against(server)
    with pytest.raises(EOFError):
        peer.introduce(OTHER_KEY)
    with pytest.raises(AuthFailed):
        admitted.result()


def test_a_server_that_does_not_know_the_key_is_refused(stage: Stage) -> None:
    """Row 3: the proof is mutual, so that no worker takes tasks from a stranger on a known port."""
    peer, introduced = stage.against(client)
    peer.send(b"qm1" + bytes(32))
    answer = peer.read()
    peer.send(proof(OTHER_KEY, b"server", bytes(32), answer[:32]))
    with pytest.raises(AuthFailed, match="somewhere:8090 does not know our authkey"):
        introduced.result()


def test_a_clients_own_proof_sent_back_proves_nothing(stage: Stage) -> None:
    """Row 3: reflection is refused, by the role in the message."""
    peer, introduced = stage.against(client)
    peer.send(b"qm1" + bytes(32))
    peer.send(peer.read()[32:])
    with pytest.raises(AuthFailed, match="does not know our authkey"):
        introduced.result()


def test_a_servers_proof_does_not_serve_as_a_clients(stage: Stage) -> None:
    """Row 3: reflection the other way round: a server's proof over the very same bytes is no client's."""
    peer, admitted = stage.against(server)
    challenge = peer.read()[3:]
    peer.send(bytes(32) + proof(KEY, b"server", challenge, bytes(32)))
    with pytest.raises(AuthFailed):
        admitted.result()


def test_an_overheard_client_cannot_be_replayed(stage: Stage) -> None:
    """Row 3: replay is refused, by the server's fresh bytes."""
    peer, admitted = stage.against(server)
    challenge = peer.read()[3:]
    overheard = bytes(32) + proof(KEY, b"client", challenge, bytes(32))
    peer.send(overheard)
    peer.read()
    admitted.result()
    peer, admitted = stage.against(server)
    assert peer.read()[3:] != challenge
    peer.send(overheard)
    with pytest.raises(AuthFailed):
        admitted.result()


def test_an_overheard_server_cannot_be_replayed(stage: Stage) -> None:
    """Row 3: replay is refused, by the client's fresh bytes."""
    challenge = os.urandom(32)
    peer, introduced = stage.against(client)
    peer.send(b"qm1" + challenge)
    overheard = proof(KEY, b"server", challenge, peer.read()[:32])
    peer.send(overheard)
    introduced.result()
    peer, introduced = stage.against(client)
    peer.send(b"qm1" + challenge)
    peer.read()
    peer.send(overheard)
    with pytest.raises(AuthFailed):
        introduced.result()


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bit=st.integers(0, 64 * 8 - 1))
def test_every_bit_of_a_clients_answer_counts(stage: Stage, bit: int) -> None:
    """Row 3."""
    peer, admitted = stage.against(server)
    challenge = peer.read()[3:]
    answer = bytearray(bytes(32) + proof(KEY, b"client", challenge, bytes(32)))
    answer[bit // 8] ^= 1 << bit % 8
    peer.send(bytes(answer))
    with pytest.raises(AuthFailed):
        admitted.result()


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(answer=st.binary(max_size=64))
def test_no_guess_of_any_length_is_admitted(stage: Stage, answer: bytes) -> None:
    """Row 3: also none that is shorter than a proof."""
    peer, admitted = stage.against(server)
    peer.read()
    peer.send(answer)
    with pytest.raises(AuthFailed):
        admitted.result()


def test_proofs_are_compared_in_constant_time(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 3: with ==, the time of a refusal tells how much of a guess was right."""
    compared: list[bytes] = []
    compare = hmac.compare_digest

    def spy(one: bytes, other: bytes) -> bool:
        compared.append(bytes(other))
        return compare(one, other)

    monkeypatch.setattr(hmac, "compare_digest", spy)
    left, right = socket.socketpair()
    with left, right, ThreadPoolExecutor() as pool:
        admitted = pool.submit(server, Connection(left))
        client(Connection(right))
        admitted.result()
    assert [len(proof) for proof in compared] == [32, 32]


@pytest.mark.parametrize("known", [0, 1, 2, None])
def test_every_key_is_tried_whichever_it_is(known: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """How long the answer takes must not tell which key it was, nor how many there are before it."""
    keys = [Key(f"key {number}", Role.CLIENT, bytes([number]) * KEY_MIN) for number in range(3)]
    tried: list[bytes] = []
    prove = auth._prove

    def spy(key: bytes, side: bytes, *rest: bytes) -> bytes:
        if side == b"client":
            tried.append(key)
        return prove(key, side, *rest)

    left, right = socket.socketpair()
    with left, right, ThreadPoolExecutor() as pool:
        peer = Peer(right)
        monkeypatch.setattr(auth, "_prove", spy)
        admitted = pool.submit(admit, Connection(left), keys)
        challenge = peer.read()[3:]
        secret = OTHER_KEY if known is None else keys[known].secret
        peer.send(bytes(32) + proof(secret, b"client", challenge, bytes(32)))
        if known is None:
            with pytest.raises(AuthFailed):
                admitted.result()
        else:
            assert admitted.result() == keys[known]
    assert tried == [key.secret for key in keys]


@pytest.mark.parametrize("ours", [b"", b"a" * 32])
@pytest.mark.parametrize("theirs", [b"", b"a" * 32, b"b" * 32])
def test_both_must_have_seen_the_same_certificate(ours: bytes, theirs: bytes) -> None:
    """Row 4."""
    left, right = socket.socketpair()
    with left, right, ThreadPoolExecutor() as pool:

        def serve() -> Key:
            with left:
                return admit(Connection(left), [Key("a", Role.CLIENT, KEY)], ours)

        admitted = pool.submit(serve)
        if ours == theirs:
            introduce(Connection(right), KEY, "somewhere", theirs)
            assert admitted.result().name == "a"
            return
        with pytest.raises(EOFError):
            introduce(Connection(right), KEY, "somewhere", theirs)
        with pytest.raises(AuthFailed):
            admitted.result()


@pytest.mark.parametrize("key", [b"", b"x", b"x" * (KEY_MIN - 1)])
def test_a_short_key_is_refused(key: bytes) -> None:
    """Row 3: an empty key would admit everybody."""
    with pytest.raises(BadRequest, match=f"at least {KEY_MIN} bytes"):
        check_key(key)
    with pytest.raises(BadRequest, match=f"at least {KEY_MIN} bytes"):
        Remote(("127.0.0.1", 8090), key)


@pytest.mark.parametrize("side", [server, client])
@pytest.mark.parametrize("pace", [0.5, 3.0, 100.0])
def test_the_deadline_is_for_the_whole_handshake(
    side: Side, pace: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 6: a peer that sends a byte now and then is not waited for longer than a silent one."""
    clock = Clock()
    monkeypatch.setattr(auth, "time", clock)
    monkeypatch.setattr(frames, "time", clock)
    script = Script([bytes([byte]) for byte in framed(b"qm1" + bytes(30))], clock, pace)
    begun = clock.now
    with pytest.raises(TimeoutError):
        side(Connection(cast(Any, script)))
    assert clock.now - begun == pytest.approx(auth.HANDSHAKE_DEADLINE, abs=0.5)


def test_the_deadline_is_for_all_steps_of_the_handshake_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 6: a challenge in time does not begin the time anew."""
    clock = Clock()
    monkeypatch.setattr(auth, "time", clock)
    monkeypatch.setattr(frames, "time", clock)
    script = Script([framed(b"qm1" + bytes(32)), framed(bytes(32))], clock, 3.0)
    begun = clock.now
    with pytest.raises(TimeoutError):
        client(Connection(cast(Any, script)))
    assert clock.now - begun == pytest.approx(auth.HANDSHAKE_DEADLINE, abs=0.5)


def test_a_connection_that_ends_before_the_challenge_says_nothing_about_the_key(stage: Stage) -> None:
    """A manager that stops, or is overrun, must not look like one with another key: that is tried again."""
    peer, introduced = stage.against(client)
    peer.sock.shutdown(socket.SHUT_WR)
    with pytest.raises(ConnectionError, match="closed before the handshake"):
        introduced.result()
    peer, introduced = stage.against(client)
    peer.sock.close()  # perhaps before it says the length of its frame
    with pytest.raises(ConnectionError):
        introduced.result()


def test_one_that_ends_after_the_proof_may_mean_another_key(stage: Stage) -> None:
    peer, introduced = stage.against(client)
    peer.send(b"qm1" + bytes(32))
    peer.read()
    peer.sock.close()
    with pytest.raises(EOFError):
        introduced.result()


@pytest.mark.parametrize(
    "hello",
    [
        framed(b""),
        framed(b"qm1"),
        framed(b"qm1" + bytes(31)),
        framed(b"qm2" + bytes(32)),
        framed(b"#CHALLENGE#" + bytes(20)),
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ],
)
def test_what_is_no_manager_is_called_so(stage: Stage, hello: bytes) -> None:
    """Also a challenge that is too short: a rogue must not choose what lengths we sign."""
    peer, introduced = stage.against(client)
    peer.sock.sendall(hello)
    with pytest.raises(AuthFailed, match="is not a qmanager"):
        introduced.result()


def test_a_stranger_cannot_make_the_server_read_much(stage: Stage) -> None:
    """Row 6: before the proof there are 64 bytes to be said, and no more are read."""
    peer, admitted = stage.against(server)
    peer.read()
    peer.send(bytes(65))
    with pytest.raises(WireError, match="65 bytes, the limit is 64"):
        admitted.result()
