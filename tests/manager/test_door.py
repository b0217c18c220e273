"""The door: as many as there is room for, and whoever finds none is told so at once."""

from __future__ import annotations

import _thread
import logging
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from qm.errors import Unreachable
from qm.limits import CONNECTIONS_MAX
from qm.manager import Server, door
from qm.manager.tally import Refusal
from qm.wire.remote import Channels, dial
from tests.manager.serving import Echo, ask, echo_server, serving
from tests.wire.peers import KEY, PATIENCE, Peer, turned_away

ROOT = Path(__file__).parents[2]


@contextmanager
def small(echo: Echo, most: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that may have few connections."""
    monkeypatch.setattr(door, "connections_max", lambda: most)
    with serving(echo_server(echo)) as server:
        yield server


def served(server: Server) -> Peer:
    """A peer that has had an answer: the server too is done with its handshake."""
    peer = Peer.known(server.address)
    peer.ask(0, "echo", "echo", b"\x91\xa2hi")
    peer.read()
    return peer


def ended(peer: Peer) -> bool:
    """Whether it is sent away; else it has got a challenge."""
    try:
        return peer.sock.recv(1) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize(
    ("descriptors", "connections"),
    [
        (64, 32),
        (200, 100),
        (256, 128),
        (1024, 896),
        (1_000_000, CONNECTIONS_MAX),
        (resource.RLIM_INFINITY, CONNECTIONS_MAX),
    ],
)
def test_the_cap_leaves_descriptors_for_all_else(
    monkeypatch: pytest.MonkeyPatch, descriptors: int, connections: int
) -> None:
    """Row 9."""
    monkeypatch.setattr(resource, "getrlimit", lambda which: (descriptors, descriptors))
    assert door.connections_max() == connections


def test_over_the_cap_a_connection_is_reset_and_counted(
    echo: Echo, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Row 9: loudly, and not by an orderly end, which would tell an honest peer that its key is wrong."""
    caplog.set_level(logging.WARNING)
    with small(echo, 5, monkeypatch) as server, ExitStack() as stack:
        known = [stack.enter_context(served(server)) for _ in range(5)]
        for _ in range(3):
            assert turned_away(server.address)
        with pytest.raises(Unreachable):
            dial(server.address, KEY)
        assert server.tally.refused[Refusal.FULL] == 4
        assert (server.tally.accepted, server.tally.admitted) == (5, 5)
        assert [r.getMessage().partition(" was ")[2] for r in caplog.records] == [
            "refused: there are 5 connections, as many as there may be"
        ]
        for number, peer in enumerate(known):  # those who are in notice nothing
            peer.ask(number, "echo", "echo", b"\x91\xa2hi")
            assert peer.read()


def test_whoever_leaves_makes_room(echo: Echo, monkeypatch: pytest.MonkeyPatch) -> None:
    with small(echo, 2, monkeypatch) as server:
        for _ in range(20):
            with Peer.known(server.address) as peer:
                peer.sock.shutdown(socket.SHUT_WR)
                assert peer.read_to_end() == b""


def test_at_the_cap_those_who_have_proved_nothing_go_first(
    echo: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 9: silent sockets do not use up the places of honest peers."""
    with small(echo, 4, monkeypatch) as server, ExitStack() as stack:
        silent = [stack.enter_context(Peer.at(server.address)) for _ in range(4)]
        for peer in silent:
            peer.read()
        for number in range(4):
            peer = stack.enter_context(Peer.known(server.address))
            peer.ask(number, "echo", "echo", b"\x91\xa2hi")
            peer.read()
        assert [ended(peer) for peer in silent] == [True] * 4
        assert server.tally.refused[Refusal.CROWDED_OUT] == 4
        assert server.tally.refused[Refusal.FULL] == 0


def test_a_connections_thread_has_a_stack_of_ours(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 9: whatever the shell says, and other threads keep theirs."""
    Peer.known(server.address).sock.close()  # its own threads run
    sizes: list[int] = []
    start = _thread.start_new_thread

    def noted(*args: Any) -> int:
        sizes.append(threading.stack_size())
        return start(*args)

    monkeypatch.setattr(_thread, "start_new_thread", noted)
    with Peer.known(server.address):
        assert sizes == [2 * 1024 * 1024]
    assert threading.stack_size() == 0


def test_a_peer_names_no_thread(server: Server) -> None:
    """Row 30: the standard library calls a thread what its peer says."""
    Peer.known(server.address).sock.close()  # its own threads run
    with Peer.known(server.address) as peer:
        peer.ask(1, "echo\nforged", "echo", b"\x91\xa2hi")
        peer.read()
        assert not [thread for thread in threading.enumerate() if "forged" in thread.name]


def test_a_thread_that_dies_of_memory_before_it_has_begun_holds_up_nobody() -> None:
    """Fault 24: nor does it keep its place."""
    command = [sys.executable, "-m", "tests.manager.starved"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    answered, closed = map(int, ran.stdout.split())
    assert answered > 8, "those who come later find memory"
    assert closed > 16, "else this test shows nothing"


def test_what_is_short_of_memory_is_dropped_alone(
    server: Server, channels: Channels, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Peer.known(server.address) as peer:
        peer.ask(1, "echo", "echo", b"\x91\xa2hi")
        peer.read()

        def full(*args: object) -> None:
            raise MemoryError

        with monkeypatch.context() as patch:
            patch.setattr("qm.manager.server.decode_request", full)
            for number in (2, 3):  # one of them may still go to the decoder that was looked up before
                peer.ask(number, "echo", "echo", b"\x91\xa2hi")
            peer.read_to_end()
    assert ask(channels, "echo", "next", timeout=PATIENCE) == "next"
