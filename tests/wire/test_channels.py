"""Connections to one manager: what one says that ends before it has proved its key, and what is kept."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from qm.errors import AuthFailed, Unreachable
from qm.wire.address import Address
from qm.wire.channels import Channels, dial
from qm.wire.frames import Connection
from tests.manager.serving import Echo, ask, echo_server, serving
from tests.wire.peers import KEY, PATIENCE, Peer, proof, rogue

CHALLENGE = bytes(range(32))


def hang_up(peer: Peer) -> None:
    """As a manager that refuses our key, or is killed."""
    peer.send(b"qm1" + CHALLENGE)
    peer.read()


def welcome(peer: Peer) -> None:
    peer.send(b"qm1" + CHALLENGE)
    nonce = peer.read()[:32]
    peer.send(proof(KEY, b"server", CHALLENGE, nonce))


def leave(peer: Peer) -> None:
    """Before it has seen our proof."""


class Acts:
    """What a server does to one client after the other; to those that come later, the last."""

    def __init__(self, *acts: Callable[[Peer], None]) -> None:
        self.done = 0
        self._acts = acts

    def __call__(self, peer: Peer) -> None:
        act = self._acts[min(self.done, len(self._acts) - 1)]
        self.done += 1
        act(peer)


def test_a_key_is_wrong_when_it_is_refused_twice() -> None:
    acts = Acts(hang_up)
    with rogue(acts) as address, pytest.raises(AuthFailed, match=f"{address} refused the authkey") as caught:
        dial(address, KEY)
    assert acts.done == 2
    assert caught.value.hint == "use that manager's key (--authkey-file)"


def test_a_manager_that_was_killed_in_the_handshake_and_is_back_knows_our_key() -> None:
    acts = Acts(hang_up, welcome)
    with rogue(acts) as address:
        dial(address, KEY).close()
    assert acts.done == 2


def test_one_that_was_killed_in_the_handshake_and_is_away_is_called_so() -> None:
    acts = Acts(hang_up, leave)
    with rogue(acts) as address, pytest.raises(Unreachable):
        dial(address, KEY)
    assert acts.done == 2


def test_what_is_closed_while_a_call_waits_is_not_kept_after_it() -> None:
    echo, connections = Echo(), list[Connection]()

    def make(address: Address, key: bytes) -> Connection:
        connections.append(dial(address, key))
        return connections[-1]

    with serving(echo_server(echo)) as server, ThreadPoolExecutor(1) as pool:
        channels = Channels(server.address, KEY, make)
        held = pool.submit(ask, channels, "hold", "a", waits=True)
        echo.begun.get(timeout=PATIENCE)
        channels.close()
        echo.let_go.set()
        assert held.result(PATIENCE) == "a", "it is still answered"
        assert [connection.fileno() for connection in connections] == [-1]
        assert ask(channels, "echo", "b") == "b"
        channels.close()
