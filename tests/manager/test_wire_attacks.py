"""What a peer that knows the key, but not its manners, can do: lose its connection."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from qm.errors import AuthFailed, QueueError, Unreachable
from qm.limits import FRAME_MAX
from qm.manager import Server
from qm.wire import frames
from qm.wire.codec import Reply, Request, encode
from qm.wire.frames import Connection, WireError
from qm.wire.remote import Channels, Remote
from tests.manager.serving import Managed, ask
from tests.wire.peers import KEY, Peer, framed, rogue
from tests.wire.test_codec import NESTS, REQUEST


class Bomb:
    """Unpickled, it makes a folder."""

    def __init__(self, place: Path) -> None:
        self.place = str(place)

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (self.place,)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """Where a bomb that went off would leave its mark."""
    place = tmp_path / "went off"
    yield place
    assert not place.exists()


def bombs(place: Path) -> list[bytes]:
    return [pickle.dumps(Bomb(place), protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]


def test_the_bomb_is_one(tmp_path: Path) -> None:
    """Else the tests below would show nothing."""
    pickle.loads(bombs(tmp_path / "mark")[2])
    assert (tmp_path / "mark").is_dir()


def test_a_pickle_bomb_before_the_proof_does_nothing(server: Server, place: Path) -> None:
    """Row 1."""
    for bomb in bombs(place):
        with Peer.at(server.address) as peer:
            peer.send(bomb)
            peer.read_to_end()


def test_a_pickle_bomb_as_a_frame_does_nothing(server: Server, place: Path) -> None:
    """Row 1."""
    for bomb in bombs(place):
        with Peer.known(server.address) as peer:
            peer.send(bomb)
            assert peer.read_to_end() == b""


def test_a_pickle_bomb_as_arguments_does_nothing(manager: Managed, place: Path) -> None:
    """Row 1: not as arguments, nor as a payload, which the manager never looks into."""
    channels = Channels(manager.server.address, KEY)
    for number, bomb in enumerate(bombs(place)):
        for verb in ("add", "get", "exchange", "status"):
            with pytest.raises(QueueError):
                channels.call("queue", verb, bomb, 5)
        task = {"id": f"t{number}", "type": "t", "input": bomb, "digest": bytes(16)}
        channels.call("queue", "add", encode([[task]]), 5)
        channels.call("queue", "get", encode([[f"t{number}"]]), 5)
    assert manager.queue.wait.count() == len(bombs(place))
    channels.close()


def test_a_pickle_bomb_from_a_rogue_manager_does_nothing(place: Path) -> None:
    """Row 1: the other direction, in the handshake."""
    for bomb in bombs(place):
        send: Callable[[Peer], None] = partial(Peer.send, frame=bomb)
        with rogue(send) as address, pytest.raises((AuthFailed, Unreachable)):
            Remote(address, KEY).connect()


@pytest.mark.parametrize("inside", [False, True], ids=["as the reply", "as the result"])
def test_a_pickle_bomb_as_an_answer_does_nothing(place: Path, inside: bool) -> None:
    """Row 1: from a server that even knows the key."""

    def answer(peer: Peer) -> None:
        peer.admit()
        peer.read()
        peer.send(encode(Reply(1, True, bombs(place)[2])) if inside else bombs(place)[2])
        peer.read_to_end()

    with rogue(answer) as address:
        remote = Remote(address, KEY)
        with pytest.raises(QueueError):
            remote.connect()
        remote.close()


def test_an_answer_to_another_call_is_not_taken() -> None:
    """Row 19."""

    def answer(peer: Peer) -> None:
        peer.admit()
        peer.read()
        peer.send(encode(Reply(999, True, encode(7))))
        assert peer.read_to_end() == b"", "the connection is used no more"

    with rogue(answer) as address, pytest.raises(Unreachable, match="an answer to another call"):
        Remote(address, KEY).connect()


@pytest.mark.parametrize("size", [FRAME_MAX + 1, 2**31, 2**32 - 1])
def test_a_huge_length_closes_the_connection_at_once(server: Server, channels: Channels, size: int) -> None:
    """Row 11: before anything of it has arrived."""
    with Peer.known(server.address) as peer:
        peer.sock.sendall(size.to_bytes(4))
        assert peer.read_to_end() == b""
    assert ask(channels, "echo", "next") == "next"


def test_a_frame_that_only_trickles_in_closes_the_connection(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 11."""
    monkeypatch.setattr(frames, "FRAME_DEADLINE", 0.05)
    for part in (b"\0", framed(REQUEST)[:-1]):
        with Peer.known(server.address) as peer:
            peer.sock.sendall(part)
            assert peer.read_to_end() == b""


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(garbage=st.binary(max_size=100))
def test_garbage_closes_the_connection_and_no_other(
    server: Server, channels: Channels, garbage: bytes
) -> None:
    """Row 11: what is out of step is not repaired."""
    with Peer.known(server.address) as peer:
        peer.send(garbage)
        assert peer.read_to_end() == b""
    assert ask(channels, "echo", "next") == "next"


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(garbage=st.binary(min_size=4, max_size=100))
def test_garbage_without_a_frame_closes_the_connection(
    server: Server, channels: Channels, garbage: bytes
) -> None:
    """Row 11."""
    assume(int.from_bytes(garbage[:4]) > FRAME_MAX)
    with Peer.known(server.address) as peer:
        peer.sock.sendall(garbage)
        assert peer.read_to_end() == b""
    assert ask(channels, "echo", "next") == "next"


@pytest.mark.parametrize("nest", NESTS)
def test_a_nest_of_arrays_closes_the_connection(server: Server, channels: Channels, nest: bytes) -> None:
    """Row 11: and is neither a SIGSEGV nor a thread that dies aloud."""
    with Peer.known(server.address) as peer:
        peer.send(nest)
        assert peer.read_to_end() == b""
    assert ask(channels, "echo", "next") == "next"


def test_text_that_is_not_utf_8_closes_the_connection(server: Server, channels: Channels) -> None:
    """Row 11."""
    with Peer.known(server.address) as peer:
        peer.send(REQUEST.replace(b"queue", b"\xff\xfe\xfd\xfc\xfb"))
        assert peer.read_to_end() == b""
    assert ask(channels, "echo", "next") == "next"


def test_calls_that_come_in_one_piece_are_answered_in_order(server: Server) -> None:
    with Peer.known(server.address) as peer:
        asked = [framed(encode(Request(n, "echo", "echo", encode([str(n)])))) for n in range(50)]
        peer.sock.sendall(b"".join(asked))
        assert [peer.read() for _ in asked] == [encode(Reply(n, True, encode(str(n)))) for n in range(50)]


def test_a_connection_that_was_proved_cannot_be_proved_again(server: Server) -> None:
    """A second handshake is garbage like any other."""
    with Peer.known(server.address) as peer:
        peer.send(bytes(64))
        assert peer.read_to_end() == b""


def test_the_servers_own_end_reads_as_the_clients_does(server: Server) -> None:
    """Both ends are the same code: a client is not easier to hold up by a rogue server."""
    with Peer.known(server.address) as peer:
        connection = Connection(peer.sock)
        peer.sock.sendall((2**31).to_bytes(4))
        with pytest.raises((EOFError, ConnectionError, WireError)):
            connection.recv_frame(5)
